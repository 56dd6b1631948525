// digits_net.c - data, a two-layer network and Adam for the digits example, in plain C. No wane in here.
#include "digits_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// splitmix64: the same numbers on every machine, which rand() does not promise.
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static int random_below(uint64_t *state, int count) { return (int)(random_next(state) % (uint64_t)count); }

static float random_real(uint64_t *state) { return (float)(random_next(state) >> 40) * 0x1p-24f; }

static const char *parse_row(const char *text, float *pixels, int32_t *label)
{
    for (int i = 0; i <= NET_INPUTS; i++) {
        char *end;
        long value = strtol(text, &end, 10);
        if (end == text) return "a row has fewer than 65 numbers";
        if (value < 0 || value > (i < NET_INPUTS ? 16 : NET_CLASSES - 1)) return "a number is out of range";
        if (i < NET_INPUTS) {
            if (*end != ',') return "a row has fewer than 65 numbers";
            pixels[i] = (float)value / 16.0f;
        } else {
            *label = (int32_t)value;
            if (*end && *end != '\n' && *end != '\r') return "a row has more than 65 numbers";
        }
        text = end + 1;
    }
    return NULL;
}

static void swap_rows(digits_data *data, int a, int b)
{
    float keep[NET_INPUTS];
    float *pa = data->pixels + (size_t)a * NET_INPUTS;
    float *pb = data->pixels + (size_t)b * NET_INPUTS;
    memcpy(keep, pa, sizeof keep);
    memmove(pa, pb, sizeof keep);
    memcpy(pb, keep, sizeof keep);
    int32_t label = data->labels[a];
    data->labels[a] = data->labels[b];
    data->labels[b] = label;
}

static const char *read_rows(digits_data *data, FILE *file)
{
    enum { MOST_ROWS = 100000 };
    char line[1024];
    int room = 0;
    while (fgets(line, sizeof line, file)) {
        if (data->rows == MOST_ROWS) return "the file has too many rows";
        if (data->rows == room) {
            room += 2048;
            float *pixels = realloc(data->pixels, (size_t)room * NET_INPUTS * sizeof *pixels);
            if (pixels) data->pixels = pixels;
            int32_t *labels = realloc(data->labels, (size_t)room * sizeof *labels);
            if (labels) data->labels = labels;
            if (!pixels || !labels) return "out of memory";
        }
        const char *wrong = parse_row(line, data->pixels + (size_t)data->rows * NET_INPUTS, data->labels + data->rows);
        if (wrong) return wrong;
        data->rows++;
    }
    return data->rows < NET_TEST_ROWS + NET_BATCH ? "the file has too few rows" : NULL;
}

const char *digits_load(digits_data *data, const char *path)
{
    memset(data, 0, sizeof *data);
    FILE *file = fopen(path, "r");
    if (!file) return "cannot be opened";
    const char *wrong = read_rows(data, file);
    fclose(file);
    if (wrong) return wrong;
    uint64_t state = 1;
    for (int i = data->rows - 1; i > 0; i--) swap_rows(data, i, random_below(&state, i + 1));
    data->test_rows = NET_TEST_ROWS;
    data->train_rows = data->rows - NET_TEST_ROWS;
    return NULL;
}

void digits_free(digits_data *data)
{
    free(data->pixels);
    free(data->labels);
    memset(data, 0, sizeof *data);
}

// Uniform in +- sqrt(6 / inputs), He's choice for rectified units.
static void init_matrix(net *n, int first, int inputs, int outputs)
{
    float reach = sqrtf(6.0f / (float)inputs);
    for (int i = 0; i < inputs * outputs; i++) n->param[first + i] = reach * (2.0f * random_real(&n->random) - 1.0f);
}

void net_init(net *n, uint64_t seed)
{
    memset(n, 0, sizeof *n);
    n->random = seed;
    n->mean_fade = n->square_fade = 1.0f;
    init_matrix(n, NET_W1, NET_INPUTS, NET_HIDDEN);
    init_matrix(n, NET_W2, NET_HIDDEN, NET_CLASSES);
}

void net_shuffle(net *n, int *order, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = random_below(&n->random, i + 1);
        int keep = order[i];
        order[i] = order[j];
        order[j] = keep;
    }
}

// Five images of nine stay in place, the others move by a pixel to one side: without this the network learns its training
// rows by heart and errs on 2.5 % of the test.
void net_batch(net *n, const digits_data *data, const int *order, float *pixels, int32_t *labels)
{
    static const signed char moves[9][2] = {{1, 0}, {-1, 0}, {0, 1}, {0, -1}};
    for (int row = 0; row < NET_BATCH; row++) {
        const float *from = data->pixels + (size_t)order[row] * NET_INPUTS;
        float *to = pixels + (size_t)row * NET_INPUTS;
        const signed char *move = moves[random_below(&n->random, 9)];
        for (int y = 0; y < NET_SIDE; y++)
            for (int x = 0; x < NET_SIDE; x++) {
                int sx = x + move[0], sy = y + move[1];
                int inside = sx >= 0 && sx < NET_SIDE && sy >= 0 && sy < NET_SIDE;
                to[y * NET_SIDE + x] = inside ? from[sy * NET_SIDE + sx] : 0.0f;
            }
        labels[row] = data->labels[order[row]];
    }
}

// out [rows, outputs] = in [rows, inputs] . weight [inputs, outputs] + bias. The inner loop runs along a row of weight,
// which compilers turn into SIMD code without changing the order of any sum.
static void dense(const float *in, int rows, int inputs, const float *weight, const float *bias, int outputs, float *out)
{
    for (int row = 0; row < rows; row++) {
        float *to = out + (size_t)row * (size_t)outputs;
        memcpy(to, bias, (size_t)outputs * sizeof *to);
        for (int i = 0; i < inputs; i++) {
            float x = in[(size_t)row * (size_t)inputs + (size_t)i];
            const float *w = weight + (size_t)i * (size_t)outputs;
            if (x == 0.0f) continue;
            for (int j = 0; j < outputs; j++) to[j] += x * w[j];
        }
    }
}

// Adds in^T . slope to grad_weight, and the rows of slope to grad_bias.
static void dense_grad(const float *in, int rows, int inputs, const float *slope, int outputs, float *grad_weight, float *grad_bias)
{
    for (int row = 0; row < rows; row++) {
        const float *s = slope + (size_t)row * (size_t)outputs;
        for (int j = 0; j < outputs; j++) grad_bias[j] += s[j];
        for (int i = 0; i < inputs; i++) {
            float x = in[(size_t)row * (size_t)inputs + (size_t)i];
            float *g = grad_weight + (size_t)i * (size_t)outputs;
            if (x == 0.0f) continue;
            for (int j = 0; j < outputs; j++) g[j] += x * s[j];
        }
    }
}

void net_forward(const net *n, const float *pixels, int rows, float *hidden, float *logits)
{
    dense(pixels, rows, NET_INPUTS, n->param + NET_W1, n->param + NET_B1, NET_HIDDEN, hidden);
    for (int i = 0; i < rows * NET_HIDDEN; i++) hidden[i] = hidden[i] > 0.0f ? hidden[i] : 0.0f;
    dense(hidden, rows, NET_HIDDEN, n->param + NET_W2, n->param + NET_B2, NET_CLASSES, logits);
}

void net_backward(net *n, const float *pixels, int rows, float *hidden, const float *grad_logits)
{
    memset(n->grad, 0, sizeof n->grad);
    dense_grad(hidden, rows, NET_HIDDEN, grad_logits, NET_CLASSES, n->grad + NET_W2, n->grad + NET_B2);
    const float *w2 = n->param + NET_W2;
    for (int row = 0; row < rows; row++)
        for (int i = 0; i < NET_HIDDEN; i++) {
            float *h = hidden + (size_t)row * NET_HIDDEN + i;
            float sum = 0.0f;
            for (int j = 0; j < NET_CLASSES; j++) sum += grad_logits[row * NET_CLASSES + j] * w2[i * NET_CLASSES + j];
            *h = *h > 0.0f ? sum : 0.0f;   // a rectified unit passes its gradient where it was active
        }
    dense_grad(pixels, rows, NET_INPUTS, hidden, NET_HIDDEN, n->grad + NET_W1, n->grad + NET_B1);
}

void net_step(net *n, float rate)
{
    const float keep_mean = 0.9f, keep_square = 0.999f;
    n->mean_fade *= keep_mean;
    n->square_fade *= keep_square;
    float mean_scale = 1.0f / (1.0f - n->mean_fade);
    float square_scale = 1.0f / (1.0f - n->square_fade);
    for (int i = 0; i < NET_PARAMS; i++) {
        float g = n->grad[i];
        n->mean[i] = keep_mean * n->mean[i] + (1.0f - keep_mean) * g;
        n->square[i] = keep_square * n->square[i] + (1.0f - keep_square) * g * g;
        n->param[i] -= rate * n->mean[i] * mean_scale / (sqrtf(n->square[i] * square_scale) + 1e-8f);
    }
}
