// runner.c - binds the passes of a plan to checked kernels, and checks what the planner promises.
#include "body.h"

#include "kernels/softmax.h"

static const char *const kernel_names[] = {
#define WANE_KERNEL(name, NAME, unit) [WANE_KERNEL_##NAME] = #name,
#include "core/kernels.def"
};

typedef struct runner {
    const wane_plan *plan;
    const body_operand *operands;
    body_memory *workspace;
    uint32_t pass_index;
    const body_kernel *kernel;
} runner;

static void bind_slot(const runner *r, const wane_pass *pass, uint32_t i, body_slot *slot)
{
    const wane_slot *s = &pass->slots[i];
    const char *name = r->kernel->slot_names[i];
    memset(slot, 0, sizeof *slot);
    if (s->operand == WANE_SLOT_NONE) return;
    if (s->operand != WANE_SLOT_WORKSPACE && (s->operand < 0 || (uint32_t)s->operand >= r->plan->operand_count)) {
        body_fault_note("pass %u, %s, slot %s: there is no operand %d", r->pass_index, r->kernel->name, name,
                        s->operand);
        return;
    }
    bool work = s->operand == WANE_SLOT_WORKSPACE;
    body_memory *memory = work ? r->workspace : r->operands[s->operand].memory;
    int64_t first = s->byte_offset + (work ? 0 : (int64_t)r->operands[s->operand].byte_offset);
    uint64_t bytes = work ? r->plan->workspace_bytes : memory ? (uint64_t)memory->count * 4 : 0;
    if (!memory || first < 0 || (uint64_t)first > bytes || s->byte_length > bytes - (uint64_t)first) {
        body_fault_note("pass %u, %s, slot %s: bytes %lld + %llu are not within the %llu of its memory", r->pass_index,
                        r->kernel->name, name, (long long)first, (unsigned long long)s->byte_length,
                        (unsigned long long)bytes);
        return;
    }
    if (first % 2 || s->byte_length % 2)
        body_fault_note("pass %u, %s, slot %s: its range is not of whole halves", r->pass_index, r->kernel->name, name);
    if (s->byte_length > r->plan->limits.max_window_bytes)
        body_fault_note("pass %u, %s, slot %s: a range of %llu bytes, the limit is %llu", r->pass_index,
                        r->kernel->name, name, (unsigned long long)s->byte_length,
                        (unsigned long long)r->plan->limits.max_window_bytes);
    slot->memory = memory;
    slot->first = (size_t)first / 4;
    slot->odd = (uint32_t)(((uint64_t)first + s->origin_bytes) / 2 & 1);
    slot->count = (size_t)((s->byte_length + (uint64_t)first % 4 + 3) / 4);
    slot->origin = ((uint64_t)first % 4 + s->origin_bytes) / 4;
}

// A gradient that lies over its logits: the constant says so, and the kernel reads the logits through the gradient's slot.
static bool in_place(const wane_pass *pass, const body_slot *a, const body_slot *b)
{
    bool writer = pass->kernel == WANE_KERNEL_SOFTMAX_WRITE || pass->kernel == WANE_KERNEL_SOFTMAX_ROW;
    return writer && pass->consts[1] & OPTION_IN_PLACE && a->first == b->first && a->count == b->count && a->origin == b->origin;
}

// The same words on two slots of a pass, one of which writes.
static void check_overlaps(const runner *r, const wane_pass *pass, const body_slot *slots)
{
    for (uint32_t i = 0; i < r->kernel->slot_count; i++)
        for (uint32_t k = i + 1; k < r->kernel->slot_count; k++) {
            const body_slot *a = &slots[i], *b = &slots[k];
            bool writes = ((r->kernel->access[i] | r->kernel->access[k]) & BODY_ACCESS_w) != 0;
            if (writes && a->memory && a->memory == b->memory && a->first < b->first + b->count
                && b->first < a->first + a->count && !in_place(pass, a, b))
                body_fault_note("pass %u, %s: slots %s and %s share words and one of them is written", r->pass_index,
                                r->kernel->name, r->kernel->slot_names[i], r->kernel->slot_names[k]);
        }
}

// What the operand was declared for must cover what the kernel may do with it.
static void check_operand(const runner *r, const wane_pass *pass, uint32_t i)
{
    int32_t operand = pass->slots[i].operand;
    if (operand < 0 || (uint32_t)operand >= r->plan->operand_count) return;
    const wane_plan_operand *o = &r->plan->operands[operand];
    if ((r->kernel->access[i] & BODY_ACCESS_w) && !o->written)
        body_fault_note("pass %u, %s, slot %s: %s is an input and the slot is written", r->pass_index, r->kernel->name,
                        r->kernel->slot_names[i], o->role->name);
}

static void run_pass(runner *r, uint32_t lanes)
{
    const wane_pass *pass = &r->plan->passes[r->pass_index];
    const wane_limits *limits = &r->plan->limits;
    if (pass->kernel >= WANE_KERNEL_COUNT || pass->record >= r->plan->record_count) {
        body_fault_note("pass %u: no kernel %u or record %u", r->pass_index, pass->kernel, pass->record);
        return;
    }
    const body_kernel *k = r->kernel = body_kernel_find(kernel_names[pass->kernel], lanes);
    if (!pass->items || pass->window[0] != pass->items)
        body_fault_note("pass %u, %s: %u items, window.items is %u", r->pass_index, k->name, pass->items,
                        pass->window[0]);
    uint64_t groups = k->per_lane ? ((uint64_t)pass->items + limits->max_lanes - 1) / limits->max_lanes : pass->items;
    if (groups > (uint64_t)limits->max_groups * limits->max_groups)
        body_fault_note("pass %u, %s: %llu groups", r->pass_index, k->name, (unsigned long long)groups);
    if (k->shared_bytes > limits->shared_bytes + 4)
        body_fault_note("pass %u, %s: %u bytes of shared memory", r->pass_index, k->name, k->shared_bytes);
    uint32_t window[WANE_MAX_WINDOW];
    memcpy(window, pass->window, sizeof window);
    window[1] = (uint32_t)wane_min_u64(groups, limits->max_groups);
    body_call call = {
        .items = pass->items,
        .with_previous = (pass->flags & WANE_PASS_WITH_PREVIOUS) != 0,
        .record = r->plan->records[pass->record].words,
        .window = window,
        .consts = pass->consts,
    };
    for (uint32_t i = 0; i < k->slot_count; i++) {
        bind_slot(r, pass, i, &call.slots[i]);
        check_operand(r, pass, i);
    }
    check_overlaps(r, pass, call.slots);
    body_call_kernel(k, &call);
}

bool body_run(const wane_plan *plan, uint32_t lanes, const body_operand *operands, body_memory *workspace)
{
    uint32_t before = body_fault_count();
    runner r = { .plan = plan, .operands = operands, .workspace = workspace };
    if (workspace->count * 4 < plan->workspace_bytes) body_fault_note("the workspace is too small");
    else
        for (r.pass_index = 0; r.pass_index < plan->pass_count; r.pass_index++) run_pass(&r, lanes);
    return body_fault_count() == before;
}
