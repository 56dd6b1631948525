// ranking.h - what the planners of ranking losses share: a problem on its way to passes, its place in the workspace, and
// the passes that its losses have in common.
#ifndef WANE_LOSS_RANKING_H
#define WANE_LOSS_RANKING_H

#include "core/core.h"

#include "kernels/rank.h"

#define WANE_KERNEL(name, NAME, unit)
#include "core/kernels.def"

typedef struct rank_record {
#define U(name) uint32_t name;
#define F(name) float name;
    RANK_RECORD(U, F)
#undef U
#undef F
} rank_record;

typedef struct rank_problem {
    wane_plan *plan;
    rank_record *record;
    int scores, labels, weight, offsets, pairs, upstream, grad;
    int64_t items, groups;
    uint32_t reduction, link, pair_weight;
    uint64_t words;                        // of the workspace, as far as it is laid out
    uint32_t at_scan;                      // totals of blocks while a scan runs
} rank_problem;

static inline double rank_param(const wane_plan *plan, wane_param id) { return plan->params[id]; }
static inline uint32_t rank_blocks(int64_t count, uint32_t size) { return (uint32_t)((count + size - 1) / size); }

// ---- ranking_problem.c ----
bool rank_wants(const rank_problem *p, wane_role role);            // an output that is asked for
wane_status rank_read_problem(rank_problem *p, wane_plan *plan);   // roles, shapes, types; fills the record's strides
uint32_t rank_place(rank_problem *p, uint64_t words);              // the next words of the workspace, 64-aligned
void rank_place_sums(rank_problem *p, int64_t count, uint32_t sums);
wane_status rank_check_workspace(rank_problem *p);                 // after all is placed; sets the plan's workspace

// ---- ranking_passes.c: each adds passes; false: out of memory ----
wane_pass *rank_add(rank_problem *p, uint16_t kernel, int64_t items);
wane_slot rank_slot(const rank_problem *p, int operand);           // all of an operand
wane_slot rank_work(const rank_problem *p);
bool rank_add_scan(rank_problem *p, uint32_t at, int64_t count, uint32_t mode);
bool rank_add_sum(rank_problem *p, uint32_t at, uint32_t sum, uint32_t kind, int64_t count);
bool rank_add_values(rank_problem *p, int64_t terms);
bool rank_add_map(rank_problem *p, uint32_t at, uint32_t mode);
// Sorts `count` keys and indices from record.at_key; *at is then where they are. whole: one group, else the problem's.
bool rank_add_sort(rank_problem *p, int64_t count, bool whole, uint32_t *at);
bool rank_add_emit(rank_problem *p, wane_role role, uint32_t first, int64_t count);

bool rank_add_outputs(rank_problem *p, uint32_t each_at, int64_t each_count);
void rank_count_costs(rank_problem *p, uint64_t pairs);            // pairs that are evaluated

// ---- ranking_given.c ----
wane_status rank_plan_given(rank_problem *p);                      // bpr, margin_ranking

#endif
