// passes.c - what planners build plans with, and how a plan is told to people.
#include "core/core.h"

#include <stdio.h>

wane_pass *wane_plan_add(wane_plan *plan, uint16_t kernel, uint32_t items)
{
    if (plan->pass_count == plan->pass_capacity) {
        uint32_t capacity = plan->pass_capacity ? plan->pass_capacity * 2 : 16;
        wane_pass *passes = wane_alloc(plan->context, capacity * sizeof *passes);
        if (!passes) return NULL;
        if (plan->pass_count) memcpy(passes, plan->passes, plan->pass_count * sizeof *passes);
        wane_free(plan->context, plan->passes);
        plan->passes = passes;
        plan->pass_capacity = capacity;
    }
    wane_pass *pass = &plan->passes[plan->pass_count++];
    memset(pass, 0, sizeof *pass);
    pass->kernel = kernel;
    pass->items = items;
    pass->window[0] = items;
    for (int i = 0; i < WANE_MAX_SLOTS; i++) pass->slots[i].operand = WANE_SLOT_NONE;
    return pass;
}

bool wane_plan_note(wane_plan *plan, const char *format, ...)
{
    char text[512];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (length < 0) return false;
    size_t add = strlen(text);
    char *notes = wane_alloc(plan->context, plan->notes_bytes + add + 2);
    if (!notes) return false;
    if (plan->notes_bytes) memcpy(notes, plan->notes, plan->notes_bytes);
    memcpy(notes + plan->notes_bytes, text, add);
    notes[plan->notes_bytes + add] = '\n';
    wane_free(plan->context, plan->notes);
    plan->notes = notes;
    plan->notes_bytes += add + 1;
    return true;
}

wane_status wane_plan_get_info(const wane_plan *plan, wane_plan_info *info)
{
    if (!plan) return WANE_ERROR_NULL_ARGUMENT;
    wane_status status = wane_struct_check(plan->context, info, sizeof *info, sizeof *info, "wane_plan_info");
    if (status == WANE_OK) *info = plan->info;
    return status;
}

size_t wane_plan_describe(const wane_plan *plan, char *text, size_t capacity)
{
    size_t used = 0;
    if (capacity) text[0] = 0;
    if (!plan) return 0;
#define PUT(...)                                                                                                       \
    do {                                                                                                               \
        int put = snprintf(used < capacity ? text + used : NULL, used < capacity ? capacity - used : 0, __VA_ARGS__);  \
        used += put > 0 ? (size_t)put : 0;                                                                             \
    } while (0)
    PUT("%s on %s: %u passes, workspace %llu bytes\n", plan->loss->name, plan->device ? plan->device->id : "given limits",
        plan->pass_count, (unsigned long long)plan->workspace_bytes);
    PUT("%.*s", (int)plan->notes_bytes, plan->notes ? plan->notes : "");
    for (uint32_t i = 0; i < plan->pass_count; i++) {
        const wane_pass *pass = &plan->passes[i];
        const wane_kernel_info *kernel = &wane_kernels[pass->kernel];
        PUT("%4u  %-16s %10u %s", i, kernel->name, pass->items, kernel->per_lane ? "lanes " : "groups");
        for (uint32_t s = 0; s < kernel->slot_count; s++) {
            const wane_slot *slot = &pass->slots[s];
            if (slot->operand >= 0)
                PUT("  %s+%lld:%llu", plan->operands[slot->operand].role->name, (long long)slot->byte_offset,
                    (unsigned long long)slot->byte_length);
        }
        PUT("\n");
    }
#undef PUT
    return used;
}
