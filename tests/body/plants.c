// plants.c - see plants.h.
#include "plants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LANE_COUNTS = 4, RUNS_MOST = 32 };
static const uint32_t lane_counts[LANE_COUNTS] = { 7, 128, 4, 64 };

static body_memory right[RUNS_MOST][WANE_MAX_OPERANDS];
static bool reaches[RUNS_MOST][BODY_MAX_SITES];         // of the kernel that is tried

static bool same_results(const problem_run *run, const body_memory *a, const body_memory *b)
{
    for (uint32_t i = 0; i < run->plan->operand_count; i++)
        if (memcmp(a[i].words, b[i].words, a[i].count * 4) != 0) return false;
    return true;
}

typedef struct notice { bool by_checker, by_results; } notice;

static notice run_planted(const plants *p, int index, uint32_t lanes)
{
    const problem_run *run = &p->runs[index];
    body_memory results[WANE_MAX_OPERANDS];
    notice n;
    body_faults_clear();
    n.by_checker = !problem_run_checked(run, lanes, results);
    n.by_results = !same_results(run, results, right[index]);
    for (uint32_t i = 0; i < run->plan->operand_count; i++) body_memory_free(&results[i]);
    body_faults_clear();
    return n;
}

// Tries runs that reach the place, and lane counts, until the fault is noticed; one at a barrier counts only if the checker sees it.
static notice plant(const plants *p, const char *kernel, uint32_t site, body_plant what, bool barrier)
{
    notice all = { false, false };
    body_plant_at(kernel, site, what);
    bool done = false;
    for (int i = 0; i < p->count && !done; i++)
        for (int l = 0; l < LANE_COUNTS && !done && reaches[i][site]; l++) {
            notice n = run_planted(p, i, lane_counts[l]);
            all.by_checker |= n.by_checker;
            all.by_results |= n.by_results;
            done = all.by_checker || (all.by_results && !barrier);
        }
    body_plant_clear();
    return all;
}

typedef struct tally { uint32_t missed, planted, by_checker; } tally;

static void plant_kernel(const plants *p, const char *kernel, tally *t)
{
    static body_visit visits[BODY_MAX_SITES];
    memset(visits, 0, sizeof visits);
    for (int i = 0; i < p->count; i++) {
        body_census_begin(kernel);
        run_planted(p, i, lane_counts[0]);
        body_census_begin(NULL);
        for (uint32_t site = 0; site < BODY_MAX_SITES; site++) {
            const body_visit *v = body_census(site);
            reaches[i][site] = v != NULL;
            if (v) visits[site] = *v;
        }
    }
    for (uint32_t site = 0; site < BODY_MAX_SITES; site++) {
        const body_visit *v = &visits[site];
        if (v->hits == 0 || (p->spared && p->spared(v))) continue;
        bool barrier = v->kind == BODY_BARRIER;
        const body_plant faults[2] = { barrier ? BODY_PLANT_SKIP : BODY_PLANT_SHIFT,
                                       barrier ? BODY_PLANT_SKIP_ODD : BODY_PLANT_SHIFT_DOWN };
        for (int i = 0; i < 2; i++) {
            notice n = plant(p, kernel, site, faults[i], barrier);
            t->planted++;
            t->by_checker += n.by_checker;
            if (n.by_checker || (n.by_results && !barrier)) continue;
            fprintf(stderr, "  %s: %s:%d, %s: planted fault %d was not noticed\n", kernel, v->site.file, v->site.line, v->name,
                    (int)faults[i]);
            t->missed++;
        }
    }
}

bool plants_line_has(const body_visit *site, const char *text)
{
    char line[256] = "";
    FILE *file = fopen(site->site.file, "r");
    if (!file) return false;
    for (int i = 0; i < site->site.line && fgets(line, sizeof line, file); i++) {}
    fclose(file);
    return strstr(line, text) != NULL;
}

bool plants_noticed(const plants *p, uint32_t least)
{
    tally t = { 0, 0, 0 };
    uint32_t kernels;
    const body_kernel *const *table = body_kernels_for(1, &kernels);
    for (int i = 0; i < p->count; i++)
        if (i >= RUNS_MOST || !problem_run_checked(&p->runs[i], 1, right[i])) abort();
    for (uint32_t k = 0; k < kernels; k++)
        if (!p->tried || p->tried(table[k]->name)) plant_kernel(p, table[k]->name, &t);
    for (int i = 0; i < p->count; i++)
        for (uint32_t k = 0; k < p->runs[i].plan->operand_count; k++) body_memory_free(&right[i][k]);
    printf("%u faults planted, %u found by the checker, %u by results alone\n", (unsigned)t.planted, (unsigned)t.by_checker,
           (unsigned)(t.planted - t.by_checker - t.missed));
    return t.missed == 0 && t.planted > least;
}
