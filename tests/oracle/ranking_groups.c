// ranking_groups.c - groups from offsets, ranks by sorting, gains and discounts: as CONVENTIONS defines them.
#include <math.h>
#include <stdlib.h>

#include "ranking.h"
#include "registry.h"

void ranking_groups_free(ranking_groups *groups) {
    free(groups->begin);
    free(groups->end);
    free(groups->bad);
    *groups = (ranking_groups){0};
}

bool ranking_groups_make(ranking_groups *groups, const oracle_problem *problem, int64_t items) {
    const oracle_array *offsets = &problem->in[ORACLE_ROLE_OFFSETS];
    int64_t count = offsets->data == NULL ? 1 : offsets->extents[0] - 1;
    size_t bytes = (size_t)count + 1;
    *groups = (ranking_groups){.count = count};
    groups->begin = calloc(bytes, sizeof *groups->begin);
    groups->end = calloc(bytes, sizeof *groups->end);
    groups->bad = calloc(bytes, sizeof *groups->bad);
    if (groups->begin == NULL || groups->end == NULL || groups->bad == NULL) {
        ranking_groups_free(groups);
        return false;
    }
    if (offsets->data == NULL) {
        groups->end[0] = items;
        return true;
    }
    double highest = 0;
    bool last_bad = false;
    for (int64_t j = 0; j <= count; j++) {
        double at = offsets->data[j];
        bool bad = !(at >= 0 && at <= (double)items) || at < highest;
        highest = bad ? highest : at;
        groups->bad_offsets += bad;
        if (j > 0) {
            groups->bad[j - 1] = bad || last_bad;
            groups->begin[j - 1] = groups->bad[j - 1] ? 0 : (int64_t)offsets->data[j - 1];
            groups->end[j - 1] = groups->bad[j - 1] ? 0 : (int64_t)at;
        }
        last_bad = bad;
    }
    return true;
}

typedef struct entry {
    double value;
    int64_t index;
} entry;

static int compare(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->value != y->value) {
        return x->value > y->value ? -1 : 1;
    }
    return x->index < y->index ? -1 : 1;
}

bool ranking_ranks(const double *values, int64_t count, int64_t *ranks) {
    entry *order = malloc((size_t)(count + 1) * sizeof *order);
    if (order == NULL) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        order[i] = (entry){.value = values[i], .index = i};
    }
    qsort(order, (size_t)count, sizeof *order, compare);
    for (int64_t k = 0; k < count; k++) {
        ranks[order[k].index] = k + 1;
    }
    free(order);
    return true;
}

double ranking_gain(double label) {
    return exp2(label) - 1;
}

double ranking_discount(int64_t rank) {
    return 1 / log2(1 + (double)rank);
}
