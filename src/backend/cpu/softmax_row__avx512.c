// softmax_row__avx512.c - see softmax_hand.h.
#define HAND_UPPER SOFTMAX_ROW
#define HAND_TEXT "softmax_row.k.h"
#define HAND_MADE wane_softmax_row__avx512
#define HAND_NAME wane_softmax_row__avx512_hand
#define HAND_SWEEPS 1
#define HAND_WRITES 1
#include "backend/cpu/softmax_hand.h"
