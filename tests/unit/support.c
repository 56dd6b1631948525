// support.c - see support.h.
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// ---- messages ----

void test_log_take(void *user, const wane_log_record *record)
{
    test_log *log = user;
    if (record->status == WANE_WARN_DATA) snprintf(log->faults, sizeof log->faults, "%s", record->text);
    if (record->level != WANE_LOG_ERROR) return;
    log->count++;
    log->status = record->status;
    snprintf(log->operand, sizeof log->operand, "%s", record->operand ? record->operand : "");
    snprintf(log->text, sizeof log->text, "%s", record->text ? record->text : "");
}

void test_log_clear(test_log *log) { memset(log, 0, sizeof *log); }

void test_expect(const test_log *log, wane_status got, wane_status want, const char *operand, const char *what)
{
    if (got != want)
        fail_msg("%s: got %s, not %s. The log says: %s: %s", what, wane_status_text(got), wane_status_text(want),
                 log->operand, log->text);
    if (log->count != 1 || log->status != want || !log->text[0])
        fail_msg("%s: %u log records, the last of status %d, text \"%s\"", what, log->count, (int)log->status,
                 log->text);
    if (operand && strcmp(operand, log->operand) != 0)
        fail_msg("%s: the log names \"%s\", not \"%s\" (%s)", what, log->operand, operand, log->text);
}

// ---- memory ----

// What free must get back; it stands before the block, in a place of its own alignment.
typedef struct block_head {
    size_t bytes, align, offset;
} block_head;

static void *counted_alloc(void *user, size_t bytes, size_t align)
{
    test_memory *memory = user;
    long call = atomic_fetch_add(&memory->calls, 1);
    if (call >= atomic_load(&memory->fail_first) && call < atomic_load(&memory->fail_end)) return NULL;
    size_t offset = (sizeof(block_head) + align - 1) / align * align;
    char *start = aligned_alloc(align, (offset + bytes + align - 1) / align * align);
    if (!start) return NULL;
    block_head head = {bytes, align, offset};
    memcpy(start + offset - sizeof head, &head, sizeof head);
    memset(start + offset, TEST_POISON, bytes);   // nobody may count on zeros
    atomic_fetch_add(&memory->blocks, 1);
    long now = atomic_fetch_add(&memory->bytes, (long)bytes) + (long)bytes, peak = atomic_load(&memory->peak_bytes);
    while (now > peak && !atomic_compare_exchange_weak(&memory->peak_bytes, &peak, now)) {}
    return start + offset;
}

static void counted_free(void *user, void *data, size_t bytes, size_t align)
{
    test_memory *memory = user;
    block_head head;
    memcpy(&head, (char *)data - sizeof head, sizeof head);
    if (head.bytes != bytes || head.align != align) atomic_fetch_add(&memory->wrong_frees, 1);
    atomic_fetch_sub(&memory->blocks, 1);
    atomic_fetch_sub(&memory->bytes, (long)head.bytes);
    free((char *)data - head.offset);
}

void test_memory_begin(test_memory *memory)
{
    memset(memory, 0, sizeof *memory);
    test_memory_arm(memory, -1, -1);
}

void test_memory_arm(test_memory *memory, long first, long end)
{
    atomic_store(&memory->calls, 0);
    atomic_store(&memory->fail_first, first < 0 ? 0 : first);
    atomic_store(&memory->fail_end, first < 0 ? 0 : end);
}

wane_allocator test_allocator(test_memory *memory)
{
    wane_allocator allocator = {memory, counted_alloc, counted_free};
    return allocator;
}

test_block test_block_make(size_t bytes, size_t align, test_guard guard)
{
    test_block block = {NULL, bytes, NULL, 0};
    if (guard == TEST_PLAIN) {
        block.data = aligned_alloc(64, (bytes + 64) / 64 * 64);
        assert_non_null(block.data);
        return block;
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    block.map_bytes = inner + 2 * page;
    block.map = mmap(NULL, block.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(block.map != MAP_FAILED);
    unsigned char *first = (unsigned char *)block.map + page;
    assert_int_equal(mprotect(block.map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(first + inner, page, PROT_NONE), 0);
    assert_int_equal(bytes % align, 0);     // the end is aligned too, so that nothing lies between it and the guard
    block.data = guard == TEST_GUARD_BEFORE ? first : first + inner - bytes;
    return block;
}

void test_block_free(test_block *block)
{
    if (block->map) munmap(block->map, block->map_bytes);
    else free(block->data);
    memset(block, 0, sizeof *block);
}

// ---- contexts and devices ----

wane_context *test_context(test_log *log, test_memory *memory, uint32_t thread_count)
{
    wane_context_desc desc = {.struct_size = sizeof desc, .thread_count = thread_count};
    if (log) {
        test_log_clear(log);
        desc.log = test_log_take;
        desc.log_user = log;
    }
    if (memory) desc.allocator = test_allocator(memory);
    wane_context *context = NULL;
    assert_int_equal(wane_context_create(&desc, &context), WANE_OK);
    assert_non_null(context);
    return context;
}

wane_device *test_device(wane_context *context, const char *name)
{
    wane_device *device = NULL;
    assert_int_equal(wane_device_find(context, name, &device), WANE_OK);
    assert_non_null(device);
    return device;
}

uint32_t test_devices(wane_context *context, wane_device *devices[TEST_DEVICES])
{
    static const char *const names[TEST_DEVICES] = {"cpu", "vulkan", "opencl"};
    uint32_t count = 0;
    for (int i = 0; i < TEST_DEVICES; i++)
        if (wane_device_find(context, names[i], &devices[count]) == WANE_OK) count++;
    assert_true(count > 0);
    return count;
}

// ---- problems ----

static const wane_role_info *role_info(const test_problem *p, wane_role role)
{
    const wane_loss_info *loss = wane_loss_by_id(p->desc.loss);
    for (uint32_t i = 0; i < loss->role_count; i++)
        if (wane_loss_role_at(loss, i)->role == role) return wane_loss_role_at(loss, i);
    return NULL;
}

static double param_value(const test_problem *p, wane_param param)
{
    const wane_loss_info *loss = wane_loss_by_id(p->desc.loss);
    double value = 0;
    for (uint32_t i = 0; i < loss->param_count; i++)
        if (wane_loss_param_at(loss, i)->param == param) value = wane_loss_param_at(loss, i)->standard;
    for (uint32_t i = 0; i < p->desc.param_count; i++)
        if (p->params[i].param == param) value = p->params[i].value;
    return value;
}

void test_problem_begin(test_problem *p, wane_context *context, wane_loss loss, int64_t rows, int64_t cols)
{
    memset(p, 0, sizeof *p);
    p->rows = rows;
    p->cols = cols;
    p->desc.struct_size = sizeof p->desc;
    p->desc.loss = loss;
    p->desc.params = p->params;
    p->desc.operands = p->operands;
    p->args.struct_size = sizeof p->args;
    p->args.bindings = p->bindings;
    assert_int_equal(wane_statistics_need(context, &p->desc, &p->mask), WANE_OK);
}

void test_problem_param(test_problem *p, wane_param param, double value)
{
    wane_param_value *v = &p->params[p->desc.param_count++];
    v->param = param;
    v->reserved = 0;
    v->value = value;
}

static void add_extent(wane_tensor *t, int64_t extent) { t->extents[t->rank++] = extent; }

static void set_shape(const test_problem *p, const char *shape, wane_tensor *t)
{
    bool rows = strstr(shape, "rows") != NULL;
    while (*shape && *shape != '|') {      // of alternatives the first: indices
        size_t length = strcspn(shape, ",|");
        if (strncmp(shape, "rows", length) == 0) add_extent(t, p->rows);
        else if (strncmp(shape, "cols", length) == 0) add_extent(t, p->cols);
        else if (strncmp(shape, "planes", length) == 0) add_extent(t, wane_statistics_plane_count(p->mask));
        else add_extent(t, strtoll(shape, NULL, 10));
        shape += length + (shape[length] == ',');
    }
    for (uint32_t i = 0; rows && i < p->more_count; i++) add_extent(t, p->more_rows[i]);
}

wane_operand *test_problem_add(test_problem *p, wane_role role)
{
    const wane_role_info *info = role_info(p, role);
    assert_non_null(info);
    assert_true(p->desc.operand_count < TEST_OPERANDS);
    wane_operand *o = &p->operands[p->desc.operand_count];
    memset(o, 0, sizeof *o);
    o->struct_size = sizeof *o;
    o->role = role;
    o->tensor.struct_size = sizeof o->tensor;
    for (int type = WANE_DTYPE_F32; type <= WANE_DTYPE_U32; type++)
        if (info->types & 1u << type) o->tensor.dtype = (wane_dtype)type;
    if (info->types & 1u << WANE_DTYPE_F32 && !strchr(info->shape, '|')) o->tensor.dtype = WANE_DTYPE_F32;
    if (role == WANE_ROLE_LOGITS && p->logits_type) o->tensor.dtype = p->logits_type;
    if (role == WANE_ROLE_GRAD_LOGITS && p->grad_type) o->tensor.dtype = p->grad_type;
    bool each = param_value(p, WANE_PARAM_REDUCTION) == WANE_REDUCTION_NONE;
    set_shape(p, strcmp(info->shape, "reduced") != 0 ? info->shape : each ? "rows" : "1", &o->tensor);
    wane_binding *b = &p->bindings[p->desc.operand_count++];
    memset(b, 0, sizeof *b);
    b->struct_size = sizeof *b;
    b->role = role;
    p->args.binding_count = p->desc.operand_count;
    return o;
}

void test_problem_add_inputs(test_problem *p, bool all)
{
    const wane_loss_info *loss = wane_loss_by_id(p->desc.loss);
    for (uint32_t i = 0; i < loss->role_count; i++) {
        const wane_role_info *role = wane_loss_role_at(loss, i);
        if (role->direction == WANE_DIRECTION_IN && (all || role->need == WANE_NEED_REQUIRED))
            test_problem_add(p, role->role);
    }
}

void test_problem_add_outputs(test_problem *p)
{
    const wane_loss_info *loss = wane_loss_by_id(p->desc.loss);
    for (uint32_t i = 0; i < loss->role_count; i++)
        if (wane_loss_role_at(loss, i)->direction != WANE_DIRECTION_IN)
            test_problem_add(p, wane_loss_role_at(loss, i)->role);
}

int test_problem_find(const test_problem *p, wane_role role)
{
    for (uint32_t i = 0; i < p->desc.operand_count; i++)
        if (p->operands[i].role == role) return (int)i;
    return -1;
}

bool test_problem_writes(const test_problem *p, uint32_t index)
{
    const wane_operand *o = &p->operands[index];
    return role_info(p, o->role)->direction != WANE_DIRECTION_IN && !(o->flags & WANE_OPERAND_GIVEN);
}

void test_strides(wane_operand *operand, int64_t first, int64_t second)
{
    operand->tensor.flags = WANE_TENSOR_STRIDED;
    operand->tensor.strides[0] = first;
    operand->tensor.strides[1] = second;
}

static int64_t stride_of(const wane_tensor *t, uint32_t dim)
{
    if (t->flags & WANE_TENSOR_STRIDED) return t->strides[dim];
    int64_t stride = 1;
    for (uint32_t d = dim + 1; d < t->rank; d++) stride *= t->extents[d];
    return stride;
}

// Bytes of the view, and where element 0 stands in it.
static size_t view_bytes(const wane_tensor *t, uint64_t *byte_offset)
{
    int64_t low = 0, high = 0, size = (int64_t)wane_dtype_bytes(t->dtype);
    *byte_offset = 0;
    for (uint32_t d = 0; d < t->rank; d++)
        if (t->extents[d] == 0) return 0;
    for (uint32_t d = 0; d < t->rank; d++) {
        int64_t reach = (t->extents[d] - 1) * stride_of(t, d);
        if (reach < 0) low += reach;
        else high += reach;
    }
    *byte_offset = (uint64_t)(-low * size);
    return (size_t)((high - low + 1) * size);
}

// Calls visit for every element where it is bound, in row-major order.
static void each_element(const test_problem *p, uint32_t index, void (*visit)(void *user, void *element, int64_t i),
                         void *user)
{
    const wane_tensor *t = &p->operands[index].tensor;
    int64_t count = 1, size = (int64_t)wane_dtype_bytes(t->dtype);
    for (uint32_t d = 0; d < t->rank; d++) count *= t->extents[d];
    unsigned char *base = p->bindings[index].host ? p->bindings[index].host : p->blocks[index].data;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = 0, rest = i;
        for (uint32_t d = t->rank; d-- > 0; rest /= t->extents[d]) at += rest % t->extents[d] * stride_of(t, d);
        visit(user, base + p->bindings[index].byte_offset + at * size, i);
    }
}

typedef struct filling {
    test_problem *p;
    uint32_t index, state;
    uint32_t bits[7], planes;
    int64_t rows;
} filling;

// Rounded towards 0; what is too small for a normal f16 is 0. Enough for test data of magnitude 8.
static uint16_t half_of(float value, wane_dtype dtype)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (dtype == WANE_DTYPE_BF16) return (uint16_t)(bits >> 16);
    int exponent = (int)(bits >> 23 & 255) - 127;
    if (exponent < -14) return 0;
    return (uint16_t)((bits >> 16 & 0x8000u) | (uint32_t)(exponent + 15) << 10 | (bits >> 13 & 0x3ffu));
}

static void fill_element(void *user, void *element, int64_t i)
{
    filling *f = user;
    const wane_operand *o = &f->p->operands[f->index];
    f->state = f->state * 1664525u + 1013904223u;
    double unit = (f->state >> 8) / 16777216.0;
    float value = (float)(0.5 + unit);
    if (o->role == WANE_ROLE_LOGITS) value = (float)(8 * unit - 4);
    // plausible statistics: all logits 0, the target seen
    static const float plain[7] = {0, 0, 0, WANE_FLAG_OTHER_FINITE | WANE_FLAG_TARGET_SEEN, 0, 0, 0};
    if (o->role == WANE_ROLE_STATISTICS) {
        uint32_t plane = f->bits[i / f->rows];
        value = plane == 1 || plane == 6 ? (float)(f->p->cols - 1) : plain[plane];
        if (f->p->cols == 1 && plane == 3) value = WANE_FLAG_TARGET_SEEN;
    }
    int64_t target = (int64_t)(unit * (double)f->p->cols);
    int32_t target32 = (int32_t)target;
    uint16_t half = half_of(value, o->tensor.dtype);
    if (o->tensor.dtype == WANE_DTYPE_I64) memcpy(element, &target, 8);
    else if (o->tensor.dtype == WANE_DTYPE_I32) memcpy(element, &target32, 4);
    else if (wane_dtype_bytes(o->tensor.dtype) == 2) memcpy(element, &half, 2);
    else memcpy(element, &value, 4);
}

void test_problem_fill(test_problem *p)
{
    if (p->workspace.data) memset(p->workspace.data, TEST_POISON, p->workspace.bytes);
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        memset(p->blocks[i].data, TEST_POISON, p->blocks[i].bytes);
        if (test_problem_writes(p, i)) continue;
        filling f = {p, i, 12345u + i * 7919u, {0}, 0, p->rows};
        for (uint32_t k = 0; k < p->more_count; k++) f.rows *= p->more_rows[k];
        for (uint32_t bit = 0; bit < 7; bit++)
            if (p->mask & 1u << bit) f.bits[f.planes++] = bit;
        each_element(p, i, fill_element, &f);
    }
}

void test_problem_memory(test_problem *p, uint64_t workspace_bytes, test_guard guard)
{
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        const wane_tensor *t = &p->operands[i].tensor;
        wane_binding *b = &p->bindings[i];
        size_t bytes = view_bytes(t, &b->byte_offset);
        p->blocks[i] = test_block_make(bytes, wane_dtype_bytes(t->dtype), guard);
        b->host = p->blocks[i].data;
        b->bytes = bytes;
    }
    p->workspace = test_block_make((size_t)workspace_bytes, 4, guard);
    p->args.workspace.struct_size = sizeof p->args.workspace;
    p->args.workspace.host = p->workspace.data;
    p->args.workspace.bytes = workspace_bytes;
    test_problem_fill(p);
}

static bool is_poison(const test_block *block)
{
    for (size_t i = 0; i < block->bytes; i++)
        if (block->data[i] != TEST_POISON) return false;
    return true;
}

bool test_problem_untouched(const test_problem *p)
{
    for (uint32_t i = 0; i < p->desc.operand_count; i++)
        if (test_problem_writes(p, i) && !is_poison(&p->blocks[i])) return false;
    return is_poison(&p->workspace);
}

typedef struct hashing {
    uint64_t hash;
    size_t size;
} hashing;

static void hash_element(void *user, void *element, int64_t i)
{
    (void)i;
    hashing *h = user;
    const unsigned char *byte = element;
    for (size_t k = 0; k < h->size; k++) h->hash = (h->hash ^ byte[k]) * 0x100000001b3u;
}

uint64_t test_problem_hash(const test_problem *p)
{
    hashing h = {0xcbf29ce484222325u, 0};
    for (uint32_t i = 0; i < p->desc.operand_count; i++) {
        h.size = wane_dtype_bytes(p->operands[i].tensor.dtype);
        if (test_problem_writes(p, i)) each_element(p, i, hash_element, &h);
    }
    return h.hash;
}

void test_problem_end(test_problem *p)
{
    for (uint32_t i = 0; i < p->desc.operand_count; i++) test_block_free(&p->blocks[i]);
    test_block_free(&p->workspace);
}

wane_executable *test_executable(wane_device *device, const test_problem *p, wane_plan_info *info)
{
    wane_plan *plan = NULL;
    wane_executable *executable = NULL;
    assert_int_equal(wane_plan_create(device, &p->desc, &plan), WANE_OK);
    if (info) {
        memset(info, 0, sizeof *info);
        info->struct_size = sizeof *info;
        assert_int_equal(wane_plan_get_info(plan, info), WANE_OK);
    }
    assert_int_equal(wane_executable_create(plan, &executable), WANE_OK);
    wane_plan_destroy(plan);
    return executable;
}

float *test_f32(test_problem *p, wane_role role)
{
    int index = test_problem_find(p, role);
    assert_true(index >= 0);
    return (float *)(void *)(p->blocks[index].data + p->bindings[index].byte_offset);
}
