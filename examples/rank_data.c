// rank_data.c - see rank_data.h.
#include "rank_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- files ----

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    if (file && fseek(file, 0, SEEK_END) == 0) {
        long bytes = ftell(file);
        rewind(file);
        text = bytes >= 0 ? malloc((size_t)bytes + 1) : NULL;
        if (text) text[fread(text, 1, (size_t)bytes, file)] = 0;
    }
    if (file) fclose(file);
    if (!text) fprintf(stderr, "rank: cannot read %s\n", path);
    return text;
}

static int count_of(const char *text, char what)
{
    int count = 0;
    for (; *text; text++) count += *text == what;
    return count;
}

// One row: a label, then feature:value with features below RANK_FEATURES.
static char *read_row(rank_data *data, char *at, int row)
{
    char *end;
    data->labels[row] = strtof(at, &end);
    int entry = data->starts[row];
    while (end != at && *end == ' ') {
        long feature = strtol(at = end, &end, 10);
        if (end == at || *end != ':' || feature < 0 || feature >= RANK_FEATURES) return NULL;
        data->features[entry] = (int)feature;
        data->values[entry++] = strtof(at = end + 1, &end);
    }
    data->starts[row + 1] = entry;
    return end == at ? NULL : end + strspn(end, "\r\n");
}

static bool read_queries(rank_data *data, const char *path)
{
    char name[512];
    snprintf(name, sizeof name, "%s.query", path);
    char *text = read_text(name), *at = text;
    if (!text) return false;
    data->queries = count_of(text, '\n');
    data->offsets = calloc((size_t)data->queries + 1, sizeof *data->offsets);
    for (int q = 0; data->offsets && q < data->queries; q++) data->offsets[q + 1] = data->offsets[q] + (int32_t)strtol(at, &at, 10);
    free(text);
    return data->offsets && data->offsets[data->queries] == data->count;
}

bool rank_data_read(rank_data *data, const char *path)
{
    memset(data, 0, sizeof *data);
    char *text = read_text(path), *at = text;
    if (!text) return false;
    size_t rows = (size_t)count_of(text, '\n'), entries = (size_t)count_of(text, ':');
    data->count = (int)rows;
    data->labels = calloc(rows + 1, sizeof *data->labels);
    data->starts = calloc(rows + 1, sizeof *data->starts);
    data->features = calloc(entries + 1, sizeof *data->features);
    data->values = calloc(entries + 1, sizeof *data->values);
    bool good = data->labels && data->starts && data->features && data->values;
    for (int row = 0; good && row < data->count; row++) {
        at = read_row(data, at, row);
        good = at != NULL;
    }
    free(text);
    good = good && read_queries(data, path);
    if (!good) fprintf(stderr, "rank: %s, or its .query, is not what it should be\n", path);
    return good;
}

void rank_data_free(rank_data *data)
{
    free(data->labels);
    free(data->offsets);
    free(data->starts);
    free(data->features);
    free(data->values);
    memset(data, 0, sizeof *data);
}

// ---- scorers ----
// Linear: weight[feature]. Hidden: unit u has weight[u * RANK_FEATURES ..], then biases, then the outputs' weights.

enum { BIASES = RANK_HIDDEN * RANK_FEATURES, OUTPUTS = BIASES + RANK_HIDDEN };

void rank_model_start(rank_model *model, bool hidden)
{
    memset(model, 0, sizeof *model);
    model->hidden = hidden;
    uint32_t seed = 1;
    for (int i = 0; i < RANK_WEIGHTS; i++) {
        seed = seed * 1664525u + 1013904223u;
        model->weight[i] = ((float)(seed >> 8) / 16777216.0f - 0.5f) * 0.2f;
    }
}

static float unit(const rank_model *model, const rank_data *data, int row, int u)
{
    float x = model->hidden ? model->weight[BIASES + u] : 0;
    for (int k = data->starts[row]; k < data->starts[row + 1]; k++)
        x += model->weight[u * RANK_FEATURES + data->features[k]] * data->values[k];
    return x;
}

void rank_model_score(const rank_model *model, const rank_data *data, float *layer, float *scores)
{
    for (int row = 0; row < data->count; row++) {
        scores[row] = model->hidden ? 0 : unit(model, data, row, 0);
        for (int u = 0; model->hidden && u < RANK_HIDDEN; u++) {
            float h = tanhf(unit(model, data, row, u));
            layer[row * RANK_HIDDEN + u] = h;
            scores[row] += model->weight[OUTPUTS + u] * h;
        }
    }
}

static void add_row(float *grad, const rank_data *data, int row, int u, float by)
{
    for (int k = data->starts[row]; k < data->starts[row + 1]; k++)
        grad[u * RANK_FEATURES + data->features[k]] += by * data->values[k];
}

void rank_model_step(rank_model *model, const rank_data *data, const float *layer, const float *grad_scores)
{
    static float grad[RANK_WEIGHTS];
    memset(grad, 0, sizeof grad);
    for (int row = 0; row < data->count; row++) {
        float g = grad_scores[row];
        if (!model->hidden) add_row(grad, data, row, 0, g);
        for (int u = 0; model->hidden && u < RANK_HIDDEN; u++) {
            float h = layer[row * RANK_HIDDEN + u], by = g * model->weight[OUTPUTS + u] * (1 - h * h);
            grad[OUTPUTS + u] += g * h;
            grad[BIASES + u] += by;
            add_row(grad, data, row, u, by);
        }
    }
    model->steps++;
    float fade1 = 1 - powf(0.9f, (float)model->steps), fade2 = 1 - powf(0.999f, (float)model->steps);
    for (int i = 0; i < RANK_WEIGHTS; i++) {
        model->first[i] = 0.9f * model->first[i] + 0.1f * grad[i];
        model->second[i] = 0.999f * model->second[i] + 0.001f * grad[i] * grad[i];
        model->weight[i] -= 0.01f * (model->first[i] / fade1) / (sqrtf(model->second[i] / fade2) + 1e-8f)
                          + 2e-4f * model->weight[i];
    }
}
