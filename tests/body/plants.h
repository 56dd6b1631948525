// plants.h - mutation of kernels: each barrier is left out, by all lanes and by half of them, and each index is moved by one.
// The checker finds every barrier and most indices; the results show the rest.
#ifndef WANE_TESTS_BODY_PLANTS_H
#define WANE_TESTS_BODY_PLANTS_H

#include "problem.h"

typedef struct plants {
    problem_run *runs;                      // together these reach every access, with data on which each index matters
    int count;
    bool (*tried)(const char *kernel);      // which kernels; NULL: all that the runs reach
    bool (*spared)(const body_visit *site); // a place that no run can show; NULL: none
} plants;

// Whether the line of a place holds a text.
bool plants_line_has(const body_visit *site, const char *text);

// Plants every fault and prints those that were not noticed. Whether there were none, of more than `least` planted.
bool plants_noticed(const plants *p, uint32_t least);

#endif
