// rank_data.h - documents of queries, read from files of sparse rows, and two scorers of them in plain C.
#ifndef RANK_DATA_H
#define RANK_DATA_H

#include <stdbool.h>
#include <stdint.h>

enum { RANK_FEATURES = 301, RANK_HIDDEN = 16, RANK_WEIGHTS = RANK_HIDDEN * (RANK_FEATURES + 2) + 1 };

typedef struct rank_data {
    int count, queries;
    float *labels;                         // [count]
    int32_t *offsets;                      // [queries + 1]
    int *starts;                           // [count + 1]: the entries of each row
    int *features;
    float *values;
} rank_data;

// Reads <path> and <path>.query. False after a message.
bool rank_data_read(rank_data *data, const char *path);
void rank_data_free(rank_data *data);

// A scorer: linear, or with one hidden layer of tanh. Adam keeps two moments a weight.
typedef struct rank_model {
    bool hidden;
    int steps;
    float weight[RANK_WEIGHTS], first[RANK_WEIGHTS], second[RANK_WEIGHTS];
} rank_model;

void rank_model_start(rank_model *model, bool hidden);
// layer [count, RANK_HIDDEN] is what the hidden layer gives, for rank_model_step; not touched by a linear scorer.
void rank_model_score(const rank_model *model, const rank_data *data, float *layer, float *scores);
// One step of Adam on d(loss)/d(scores).
void rank_model_step(rank_model *model, const rank_data *data, const float *layer, const float *grad_scores);

#endif
