#include "problem.h"

#include <stdio.h>
#include <stdlib.h>

static const uint32_t unwritten = 0x7fc0dead;           // what body_memory_make puts where nobody wrote
static const uint32_t lane_counts[] = { 1, 4, 7, 64, 128 };

static wane_context *context;

static void say(void *user, const wane_log_record *record)
{
    (void)user;
    (void)record;                           // refusals are expected; problem_agrees prints the rest
}

wane_context *problem_context(void)
{
    wane_context_desc desc = { .struct_size = sizeof desc, .backends = WANE_BACKEND_CPU, .thread_count = 1,
                               .log = say };
    if (!context && wane_context_create(&desc, &context) != WANE_OK) {
        fprintf(stderr, "no context\n");
        abort();
    }
    return context;
}

void problem_close(void)
{
    wane_context_destroy(context);
    context = NULL;
}

const char *problem_text(const problem *p)
{
    static const char *const names[PROBLEM_OPTIONS] = {
        "sum", "none", "weight", "row_weight", "upstream", "upstream_lse", "smoothing", "softcap", "temperature",
        "z_loss", "comp_sum", "values", "grad", "accumulate", "entropy", "argmax", "save", "given", "all_planes", "i64",
        "column_major", "negative", "spread", "no_target",
    };
    static char text[512];
    int used = snprintf(text, sizeof text, "%lld x %lld, limits %d%s", (long long)p->rows, (long long)p->cols,
                        (int)p->limits, p->data == PROBLEM_SPECIAL ? ", special" : "");
    for (int i = 0; i < PROBLEM_OPTIONS; i++)
        if (p->options >> i & 1) used += snprintf(text + used, sizeof text - (size_t)used, ", %s", names[i]);
    if (p->options & PROBLEM_SECOND)
        snprintf(text + used, sizeof text - (size_t)used, ", second source 0x%x", (unsigned)(p->options & PROBLEM_SECOND));
    return text;
}

// ---- data --------------------------------------------------------------------------------------------------------

static uint32_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a + 1) * 0x9e3779b97f4a7c15u ^ (b + 1) * 0xc2b2ae3d27d4eb4fu;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
    return (uint32_t)(h >> 32);
}

static float number(uint64_t a, uint64_t b, float size) { return ((float)(mix(a, b) >> 8) / 8388608.0f - 1.0f) * size; }

static float word_float(uint32_t word)
{
    float x;
    memcpy(&x, &word, 4);
    return x;
}

enum { KINDS_OF_ROW = 17 };
static int kind_of_row(const problem *p, int64_t row)
{
    return p->data == PROBLEM_SPECIAL ? (int)((row * 7 + p->cols) % KINDS_OF_ROW) : 0;
}

static int64_t target_of(const problem *p, int64_t row)
{
    static const int64_t odd[] = { -100, -1, INT32_MAX, INT32_MIN };
    int kind = kind_of_row(p, row);
    if (kind >= 1 && kind <= 4) return odd[kind - 1];
    if (kind == 5) return p->cols;
    if (kind == 6 && p->options & PROBLEM_I64) return (int64_t)1 << 32;
    return mix(7, (uint64_t)row) % (uint64_t)p->cols;
}

static float logit_of(const problem *p, int64_t row, int64_t col)
{
    const float inf = word_float(0x7f800000), nan = word_float(0x7fc00000);
    bool target = col == target_of(p, row), some = mix((uint64_t)row, (uint64_t)col) % 3 == 0;
    float x = number(1000 + (uint64_t)row, (uint64_t)col, 9.0f);
    switch (kind_of_row(p, row)) {
    case 7: return col == (int64_t)mix(5, (uint64_t)row) % p->cols ? nan : x;
    case 8: return col == p->cols - 1 ? inf : x;
    case 9: return target ? -inf : x;
    case 10: return -inf;
    case 11: return some ? -inf : x;
    case 12: return target ? x : -inf;
    case 13: return x * 1.0e30f;
    case 14: return some ? 3.4028235e38f : -3.4028235e38f;
    case 15: return x * 1.0e-41f;
    case 16: return some ? 2.5f : -1.25f;
    default: return x;
    }
}

static uint64_t element_byte(const problem_run *run, uint32_t operand, int64_t i, int64_t k)
{
    const wane_plan_operand *o = &run->plan->operands[operand];
    int64_t at = (o->rank > 0 ? i * o->strides[0] : 0) + (o->rank > 1 ? k * o->strides[1] : 0);
    return run->element0[operand] + (uint64_t)(at * (int64_t)wane_dtype_bytes(o->dtype));
}

static void put_element(const problem *p, problem_run *run, uint32_t operand, int64_t i, int64_t k)
{
    const wane_plan_operand *o = &run->plan->operands[operand];
    char *at = (char *)run->data[operand] + element_byte(run, operand, i, k);
    float x = 0;
    switch (o->role->role) {
    case WANE_ROLE_TARGET: {
        if (o->dtype == WANE_DTYPE_F32) {
            x = number(9 + (uint64_t)i, (uint64_t)k, 1.0f);
            if (p->data == PROBLEM_SPECIAL && i % 5 == 2 && k == 0) x = word_float(0x7fc00000);
            break;
        }
        int64_t y = target_of(p, o->strides[0] ? i : 0);
        int32_t narrow = (int32_t)y;
        if (o->dtype == WANE_DTYPE_I64) memcpy(at, &y, 8);
        else memcpy(at, &narrow, 4);
        return;
    }
    case WANE_ROLE_LOGITS: x = logit_of(p, i, k); break;
    case WANE_ROLE_TEACHER_LOGITS: x = logit_of(p, i + 5, k); break;
    case WANE_ROLE_WEIGHT: x = i % 5 == 3 ? 0.0f : 1.0f + number(3, (uint64_t)i, 0.9f); break;
    case WANE_ROLE_ROW_WEIGHT: x = i % 7 == 6 ? 0.0f : 1.0f + number(4, (uint64_t)i, 0.9f); break;
    case WANE_ROLE_UPSTREAM: x = number(5, (uint64_t)i, 3.0f); break;
    case WANE_ROLE_UPSTREAM_LSE: x = number(6, (uint64_t)i, 1.0f); break;
    default: x = number(8 + (uint64_t)i, (uint64_t)k, 2.0f); break;      // a gradient to add to
    }
    memcpy(at, &x, 4);
}

static void *get_memory(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        abort();
    }
    return memory;
}

void *problem_element(const problem_run *run, uint32_t operand, int64_t i, int64_t k)
{
    return (char *)run->data[operand] + element_byte(run, operand, i, k);
}

void problem_make_memory(problem_run *run, uint32_t operand)
{
    const wane_plan_operand *o = &run->plan->operands[operand];
    run->element0[operand] = 24 + (uint64_t)-o->first_byte;
    run->bytes[operand] = (run->element0[operand] + (uint64_t)o->end_byte + 3) / 4 * 4;
    run->data[operand] = get_memory(run->bytes[operand]);
    for (uint64_t i = 0; i < run->bytes[operand] / 4; i++) memcpy((char *)run->data[operand] + 4 * i, &unwritten, 4);
}

static void make_operand(const problem *p, problem_run *run, uint32_t operand)
{
    const wane_plan_operand *o = &run->plan->operands[operand];
    problem_make_memory(run, operand);
    if (!o->read || o->role->role == WANE_ROLE_STATISTICS) return;
    int64_t outer = o->rank > 0 ? o->extents[0] : 1, inner = o->rank > 1 ? o->extents[1] : 1;
    for (int64_t i = 0; i < outer; i++)
        for (int64_t k = 0; k < inner; k++) put_element(p, run, operand, i, k);
}

// ---- plans -------------------------------------------------------------------------------------------------------

static wane_limits limits_of(problem_limits kind)
{
    wane_limits l = { .struct_size = sizeof l, .backend = WANE_BACKEND_VULKAN, .max_lanes = 128, .shared_bytes = 16384,
                      .max_window_bytes = 128u << 20, .max_buffer_bytes = 1u << 30, .offset_align_bytes = 256,
                      .max_groups = 65535, .max_dispatch_elems = 1u << 28 };
    if (kind == PROBLEM_WINDOW_5K) l.max_window_bytes = 5120;
    if (kind == PROBLEM_WINDOW_6K) l.max_window_bytes = 6400;
    if (kind == PROBLEM_WINDOW_12K) l.max_window_bytes = 12800;
    if (kind == PROBLEM_DISPATCH_9000) l.max_dispatch_elems = 9000;
    return l;
}

typedef struct builder {
    const problem *p;
    wane_operand operands[WANE_MAX_OPERANDS];
    wane_param_value params[16];
    uint32_t operand_count, param_count;
} builder;

static void add_operand(builder *b, wane_role role, wane_dtype dtype, uint32_t rank, int64_t outer, int64_t inner)
{
    wane_operand *o = &b->operands[b->operand_count++];
    memset(o, 0, sizeof *o);
    o->struct_size = sizeof *o;
    o->role = role;
    wane_tensor *t = &o->tensor;
    t->struct_size = sizeof *t;
    t->dtype = dtype;
    t->rank = rank;
    t->extents[0] = outer;
    t->extents[1] = inner;
    uint32_t options = b->p->options;
    if (rank == 2 && role != WANE_ROLE_STATISTICS) {
        bool tall = (options & PROBLEM_COLUMN_MAJOR) != 0, back = (options & PROBLEM_NEGATIVE) != 0;
        t->flags = WANE_TENSOR_STRIDED;
        t->strides[0] = tall ? 1 : inner + (back ? 3 : 0);
        t->strides[1] = tall ? outer : back && role == WANE_ROLE_GRAD_LOGITS ? -1 : 1;
        if (back && role == WANE_ROLE_LOGITS) t->strides[0] = -t->strides[0];
    } else if (rank == 1 && options & PROBLEM_SPREAD) {
        t->flags = WANE_TENSOR_STRIDED;
        t->strides[0] = role == WANE_ROLE_ROW_WEIGHT || role == WANE_ROLE_UPSTREAM ? 0 : role == WANE_ROLE_LSE ? -3 : 3;
    }
}

static void add_param(builder *b, wane_param param, double value)
{
    b->params[b->param_count++] = (wane_param_value){ param, 0, value };
}

static void add_inputs(builder *b)
{
    const problem *p = b->p;
    uint32_t o = p->options;
    add_operand(b, WANE_ROLE_LOGITS, WANE_DTYPE_F32, 2, p->rows, p->cols);
    bool targeted = !(o & (PROBLEM_NO_TARGET | PROBLEM_SECOND));
    if (o & PROBLEM_TEACHER) {
        add_operand(b, WANE_ROLE_TEACHER_LOGITS, WANE_DTYPE_F32, 2, p->rows, p->cols);
        add_param(b, WANE_PARAM_DIRECTION, 2);
    }
    if (o & PROBLEM_SHARES) {
        add_operand(b, WANE_ROLE_TARGET, WANE_DTYPE_F32, 2, p->rows, p->cols);
        add_operand(b, WANE_ROLE_WEIGHT, WANE_DTYPE_F32, 1, p->cols, 0);
        add_param(b, WANE_PARAM_LABEL_SMOOTHING, 0.1);
    }
    if (o & PROBLEM_BINS) add_operand(b, WANE_ROLE_TARGET, WANE_DTYPE_F32, 1, p->rows, 0);
    if (targeted) add_operand(b, WANE_ROLE_TARGET, o & PROBLEM_I64 ? WANE_DTYPE_I64 : WANE_DTYPE_I32, 1, p->rows, 0);
    if (targeted && o & PROBLEM_WEIGHT) add_operand(b, WANE_ROLE_WEIGHT, WANE_DTYPE_F32, 1, p->cols, 0);
    if (o & PROBLEM_ROW_WEIGHT) add_operand(b, WANE_ROLE_ROW_WEIGHT, WANE_DTYPE_F32, 1, p->rows, 0);
    if (o & PROBLEM_UPSTREAM) add_operand(b, WANE_ROLE_UPSTREAM, WANE_DTYPE_F32, 1, o & PROBLEM_NONE ? p->rows : 1, 0);
    if (o & PROBLEM_UPSTREAM_LSE) add_operand(b, WANE_ROLE_UPSTREAM_LSE, WANE_DTYPE_F32, 1, p->rows, 0);
    add_param(b, WANE_PARAM_REDUCTION, o & PROBLEM_NONE ? WANE_REDUCTION_NONE : o & PROBLEM_SUM ? WANE_REDUCTION_SUM
                                                                                                : WANE_REDUCTION_MEAN);
    if (targeted && o & PROBLEM_SMOOTHING && !(o & PROBLEM_COMP_SUM)) add_param(b, WANE_PARAM_LABEL_SMOOTHING, 0.1);
    if (o & PROBLEM_SOFTCAP) add_param(b, WANE_PARAM_SOFTCAP, 6.0);
    if (o & PROBLEM_TEMPERATURE) add_param(b, WANE_PARAM_TEMPERATURE, 0.6);
    if (o & PROBLEM_Z_LOSS) add_param(b, WANE_PARAM_Z_LOSS, 0.01);
    if (targeted && o & PROBLEM_COMP_SUM) add_param(b, WANE_PARAM_TAU, 1.4);
}

static void add_outputs(builder *b, uint32_t planes)
{
    const problem *p = b->p;
    uint32_t o = p->options;
    if (o & (PROBLEM_SAVE | PROBLEM_GIVEN)) {
        add_operand(b, WANE_ROLE_STATISTICS, WANE_DTYPE_F32, 2, planes, p->rows);
        if (o & PROBLEM_GIVEN) b->operands[b->operand_count - 1].flags = WANE_OPERAND_GIVEN;
    }
    if (o & PROBLEM_VALUES) {
        add_operand(b, WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, o & PROBLEM_NONE ? p->rows : 1, 0);
        add_operand(b, WANE_ROLE_ROW_LOSS, WANE_DTYPE_F32, 1, p->rows, 0);
        add_operand(b, WANE_ROLE_LSE, WANE_DTYPE_F32, 1, p->rows, 0);
        add_operand(b, WANE_ROLE_VALID_COUNT, WANE_DTYPE_I64, 1, 1, 0);
        add_operand(b, WANE_ROLE_STATUS, WANE_DTYPE_U32, 1, 8, 0);
    }
    if (o & PROBLEM_GRAD) {
        add_operand(b, WANE_ROLE_GRAD_LOGITS, WANE_DTYPE_F32, 2, p->rows, p->cols);
        if (o & PROBLEM_ACCUMULATE) b->operands[b->operand_count - 1].flags = WANE_OPERAND_ACCUMULATE;
    }
    if (o & PROBLEM_GRAD && o & PROBLEM_TEACHER)
        add_operand(b, WANE_ROLE_GRAD_TEACHER_LOGITS, WANE_DTYPE_F32, 2, p->rows, p->cols);
    if (o & PROBLEM_ENTROPY) add_operand(b, WANE_ROLE_ENTROPY, WANE_DTYPE_F32, 1, p->rows, 0);
    if (o & PROBLEM_ARGMAX) {
        add_operand(b, WANE_ROLE_ARGMAX, o & PROBLEM_I64 ? WANE_DTYPE_I64 : WANE_DTYPE_I32, 1, p->rows, 0);
        if (!(o & (PROBLEM_NO_TARGET | PROBLEM_SECOND))) add_operand(b, WANE_ROLE_ACCURACY, WANE_DTYPE_F32, 1, 1, 0);
    }
}

// Statistics as a forward call on the CPU saves them, copied element by element.
static void give_statistics(const problem *p, problem_run *run, uint32_t operand)
{
    problem forward = *p;
    forward.options = (p->options & ~(uint32_t)(PROBLEM_GIVEN | PROBLEM_GRAD | PROBLEM_ACCUMULATE)) | PROBLEM_SAVE;
    forward.limits = PROBLEM_FLOOR;
    problem_run first;
    if (problem_open(&forward, &first) != WANE_OK) abort();
    problem_run_cpu(&first);
    uint32_t from = (uint32_t)wane_plan_find(first.plan, WANE_ROLE_STATISTICS);
    const wane_plan_operand *o = &run->plan->operands[operand];
    for (int64_t i = 0; i < o->extents[0]; i++)
        for (int64_t k = 0; k < o->extents[1]; k++)
            memcpy((char *)run->data[operand] + element_byte(run, operand, i, k),
                   (char *)first.data[from] + element_byte(&first, from, i, k), 4);
    problem_free(&first);
}

wane_status problem_open(const problem *p, problem_run *run)
{
    builder b = { .p = p };
    wane_loss_desc desc = { .struct_size = sizeof desc };
    memset(run, 0, sizeof *run);
    add_inputs(&b);
    desc.loss = p->options & PROBLEM_TEACHER ? WANE_LOSS_KL_LOGITS : p->options & PROBLEM_BINS ? WANE_LOSS_HL_GAUSS
              : p->options & PROBLEM_SHARES ? WANE_LOSS_CROSS_ENTROPY : p->options & PROBLEM_NO_TARGET ? WANE_LOSS_ENTROPY
              : p->options & PROBLEM_COMP_SUM ? WANE_LOSS_COMP_SUM : WANE_LOSS_CROSS_ENTROPY;
    desc.params = b.params;
    desc.param_count = b.param_count;
    wane_status status = wane_statistics_need(problem_context(), &desc, &desc.statistics_mask);
    if (status) return status;
    if (p->options & (PROBLEM_ALL_PLANES | PROBLEM_SHARES)) desc.statistics_mask = 127;
    add_outputs(&b, wane_statistics_plane_count(desc.statistics_mask));
    desc.operands = b.operands;
    desc.operand_count = b.operand_count;
    if (p->limits == PROBLEM_WORKSPACE_8K) desc.workspace_limit_bytes = 8192;
    wane_limits limits = limits_of(p->limits);
    status = wane_plan_create_for(problem_context(), &limits, &desc, &run->plan);
    if (status) return status;
    for (uint32_t i = 0; i < run->plan->operand_count; i++) {
        make_operand(p, run, i);
        const wane_plan_operand *o = &run->plan->operands[i];
        if (o->role->role == WANE_ROLE_STATISTICS && o->read) give_statistics(p, run, i);
    }
    return WANE_OK;
}

void problem_free(problem_run *run)
{
    for (uint32_t i = 0; run->plan && i < run->plan->operand_count; i++) free(run->data[i]);
    wane_plan_destroy(run->plan);
    memset(run, 0, sizeof *run);
}

// ---- running -----------------------------------------------------------------------------------------------------

void problem_run_cpu(problem_run *run)
{
    wane_device *device;
    wane_executable *executable = NULL;
    wane_binding bindings[WANE_MAX_OPERANDS] = { 0 };
    wane_args args = { .struct_size = sizeof args, .bindings = bindings, .binding_count = run->plan->operand_count };
    for (uint32_t i = 0; i < run->plan->operand_count; i++) {
        bindings[i].struct_size = sizeof *bindings;
        bindings[i].role = run->plan->operands[i].role->role;
        bindings[i].host = run->data[i];
        bindings[i].bytes = run->bytes[i];
        bindings[i].byte_offset = run->element0[i];
    }
    args.workspace.struct_size = sizeof args.workspace;
    args.workspace.bytes = run->plan->workspace_bytes;
    args.workspace.host = get_memory(args.workspace.bytes);
    memset(args.workspace.host, 0xff, args.workspace.bytes);
    wane_status status = wane_device_find(problem_context(), "cpu:generic", &device);
    // a plan made from limits has no device: this one runs the same passes as it would elsewhere
    run->plan->device = device;
    if (status == WANE_OK) status = wane_executable_create(run->plan, &executable);
    if (status == WANE_OK) status = wane_run_cpu(executable, &args);
    if (status < 0) {
        fprintf(stderr, "the CPU backend refused the plan: %s\n", wane_status_text(status));
        abort();
    }
    wane_executable_destroy(executable);
    free(args.workspace.host);
}

bool problem_run_checked(const problem_run *run, uint32_t lanes, body_memory *results)
{
    body_operand operands[WANE_MAX_OPERANDS];
    body_memory workspace = body_memory_make(NULL, run->plan->workspace_bytes);
    for (uint32_t i = 0; i < run->plan->operand_count; i++) {
        results[i] = body_memory_make(run->plan->operands[i].read ? run->data[i] : NULL, run->bytes[i]);
        operands[i] = (body_operand){ &results[i], run->element0[i] };
    }
    bool clean = body_run(run->plan, lanes, operands, &workspace);
    body_memory_free(&workspace);
    return clean;
}

// Every element of an output must have been written by a kernel, unless it was there to be added to. Atomic stores of halves
// leave no trace.
static bool output_complete(const problem_run *run, uint32_t operand, const body_memory *memory)
{
    const wane_plan_operand *o = &run->plan->operands[operand];
    if (!o->written || o->read || wane_dtype_bytes(o->dtype) < 4) return true;
    int64_t outer = o->rank > 0 ? o->extents[0] : 1, inner = o->rank > 1 ? o->extents[1] : 1;
    for (int64_t i = 0; i < outer; i++)
        for (int64_t k = 0; k < inner; k++)
            if (memory->traces[element_byte(run, operand, i, k) / 4].written < 2) {
                fprintf(stderr, "  %s[%lld, %lld] was not written\n", o->role->name, (long long)i, (long long)k);
                return false;
            }
    return true;
}

// right: the CPU's words.
static bool same_bits(const problem_run *right, const body_memory *results, uint32_t lanes)
{
    bool same = true;
    for (uint32_t i = 0; i < right->plan->operand_count; i++) {
        const uint32_t *words = right->data[i];
        size_t count = right->bytes[i] / 4, w = 0;
        while (w < count && words[w] == results[i].words[w]) w++;
        if (w < count) {
            fprintf(stderr, "  %u lanes: %s word %zu (element 0 is at word %llu): 0x%08x, the CPU has 0x%08x\n",
                    (unsigned)lanes, right->plan->operands[i].role->name, w, (unsigned long long)right->element0[i] / 4,
                    (unsigned)results[i].words[w], (unsigned)words[w]);
            same = false;
        }
        same = output_complete(right, i, &results[i]) && same;
    }
    return same;
}

bool problem_runs_agree(const problem_run *run, problem_run *cpu)
{
    problem_run_cpu(cpu);
    bool good = true;
    for (size_t i = 0; i < sizeof lane_counts / sizeof *lane_counts && good; i++) {
        body_memory results[WANE_MAX_OPERANDS];
        body_faults_clear();
        good = problem_run_checked(run, lane_counts[i], results);
        body_faults_print();
        good = same_bits(cpu, results, lane_counts[i]) && good;
        for (uint32_t k = 0; k < run->plan->operand_count; k++) body_memory_free(&results[k]);
    }
    return good;
}

bool problem_agrees(const problem *p, uint32_t *refused)
{
    problem_run run, cpu;
    wane_status status = problem_open(p, &run);
    if (status && refused) {
        *refused += 1;
        return true;
    }
    if (status || problem_open(p, &cpu) != WANE_OK) {
        fprintf(stderr, "%s: no plan: %s\n", problem_text(p), wane_status_text(status));
        return false;
    }
    bool good = problem_runs_agree(&run, &cpu);
    if (!good) fprintf(stderr, "%s: see above\n", problem_text(p));
    problem_free(&run);
    problem_free(&cpu);
    return good;
}
