// pair.h - two softmaxes beside each other: what kl_logits and cross_entropy_logits share.
#ifndef WANE_TESTS_ORACLE_PAIR_H
#define WANE_TESTS_ORACLE_PAIR_H

#include "whole.h"

// log(p_j / q_j); 0 where one of the two is -inf. own: the error of this column alone; common: what all columns have
// together, from the normalisation of both.
double pair_ratio(const whole_row *row, int64_t j, double *own, double *common);

// Whether a column has weight in `of` and is -inf in `by`: their cross-entropy is infinite.
bool pair_infinite(const whole_row *row, const whole_side *of, const whole_side *by);

// Adds p_j - q_j times `factor` to the derivative by the logits that make p (the row's x, or its u if `swapped`).
void pair_add_difference(const whole_row *row, whole_result *result, bool swapped, double factor);

#endif
