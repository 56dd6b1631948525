// digits_net.h - the part of the digits example that has nothing to do with wane: data, network, optimiser.
#ifndef WANE_EXAMPLES_DIGITS_NET_H
#define WANE_EXAMPLES_DIGITS_NET_H

#include <stdint.h>

enum {
    NET_SIDE = 8,                          // an image is 8 x 8
    NET_INPUTS = NET_SIDE * NET_SIDE,
    NET_HIDDEN = 128,
    NET_CLASSES = 10,
    NET_BATCH = 64,
    NET_TEST_ROWS = 360,                   // the rest trains
    NET_W1 = 0,                            // where each matrix starts in `param`: [inputs, hidden], [hidden, classes]
    NET_B1 = NET_W1 + NET_INPUTS * NET_HIDDEN,
    NET_W2 = NET_B1 + NET_HIDDEN,
    NET_B2 = NET_W2 + NET_HIDDEN * NET_CLASSES,
    NET_PARAMS = NET_B2 + NET_CLASSES
};

typedef struct digits_data {
    int rows, train_rows, test_rows;       // the first train_rows train, the rest is the test
    float *pixels;                         // [rows, inputs], 0..1
    int32_t *labels;                       // [rows]
} digits_data;

typedef struct net {
    float param[NET_PARAMS], grad[NET_PARAMS];
    float mean[NET_PARAMS], square[NET_PARAMS];      // Adam's running moments
    float mean_fade, square_fade;
    uint64_t random;
} net;

// Reads rows of 64 grey levels 0..16 and a class 0..9, then shuffles them, always in the same way. Returns NULL, or what
// is wrong with the file.
const char *digits_load(digits_data *data, const char *path);
void digits_free(digits_data *data);

void net_init(net *n, uint64_t seed);
// Fills a batch with training rows order[0..NET_BATCH), each moved by up to a pixel.
void net_batch(net *n, const digits_data *data, const int *order, float *pixels, int32_t *labels);
void net_shuffle(net *n, int *order, int count);
// logits [rows, classes] from pixels [rows, inputs]; hidden [rows, hidden] is kept for the way back.
void net_forward(const net *n, const float *pixels, int rows, float *hidden, float *logits);
// From the gradient of the loss by the logits to that by every parameter. Overwrites hidden.
void net_backward(net *n, const float *pixels, int rows, float *hidden, const float *grad_logits);
// One step of Adam.
void net_step(net *n, float rate);

#endif
