// softmax_values.h - classes of values of a row of logits.
#ifndef WANE_TOOLS_CONFORM_SOFTMAX_VALUES_H
#define WANE_TOOLS_CONFORM_SOFTMAX_VALUES_H

#include "family.h"

extern const conform_values softmax_values[];
void softmax_fill(conform_inputs *in);      // ordinary numbers

#endif
