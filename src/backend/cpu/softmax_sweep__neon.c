// softmax_sweep__neon.c - see softmax_hand.h.
#define HAND_UPPER SOFTMAX_SWEEP
#define HAND_TEXT "softmax_sweep.k.h"
#define HAND_MADE wane_softmax_sweep__generic
#define HAND_NAME wane_softmax_sweep__neon_hand
#define HAND_SWEEPS 1
#define HAND_WRITES 0
#include "backend/cpu/softmax_hand.h"
