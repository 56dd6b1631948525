// engine_check.h - what the three engines train, the same in plain C, and whether they got it.
//
// A table w [ROWS, COLS] is trained so that row i prefers column i % COLS: logits z = 2 w, loss = mean cross-entropy
// of z, and a step of gradient descent is w = w - RATE * 2 * dloss/dz.
#ifndef WANE_EXAMPLES_ENGINE_CHECK_H
#define WANE_EXAMPLES_ENGINE_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { ROWS = 96, COLS = 40, CELLS = ROWS * COLS, STEPS = 60 };
static const float RATE = 20.0f;

static float start_value(int i) { return (float)(i * 7919 % 101) / 101.0f - 0.5f; }

static void engine_start(float *w, int32_t *target)
{
    for (int i = 0; i < CELLS; i++) w[i] = start_value(i);
    for (int i = 0; i < ROWS; i++) target[i] = i % COLS;
}

// One step of one row; returns its loss.
static double check_row(double *w, int target)
{
    double sum = 0, weight[COLS], loss;
    for (int c = 0; c < COLS; c++) sum += weight[c] = exp(2 * w[c]);
    loss = log(sum) - 2 * w[target];
    for (int c = 0; c < COLS; c++) w[c] -= (double)RATE * 2 * (weight[c] / sum - (c == target)) / ROWS;
    return loss;
}

// Returns the exit code: 0 if w and the losses of all steps are those of plain C, and something was learnt.
static int engine_check(const char *who, const float *w, const float *losses)
{
    static double v[CELLS];
    double worst = 0;
    for (int i = 0; i < CELLS; i++) v[i] = start_value(i);
    for (int step = 0; step < STEPS; step++) {
        double loss = 0;
        for (int r = 0; r < ROWS; r++) loss += check_row(v + r * COLS, r % COLS) / ROWS;
        worst = fmax(worst, fabs(loss - losses[step]));
    }
    for (int i = 0; i < CELLS; i++) worst = fmax(worst, fabs(v[i] - w[i]));
    int right = worst < 1e-4 && losses[STEPS - 1] < losses[0] / 4;
    printf("%s: loss %.4f to %.4f in %d steps; differs from plain C by %.1e: %s\n", who, losses[0], losses[STEPS - 1],
           STEPS, worst, right ? "right" : "WRONG");
    return right ? 0 : 1;
}

#endif
