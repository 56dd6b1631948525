// softmax_pair_sweep__neon.c - see softmax_hand_pair.h.
#define HAND_UPPER SOFTMAX_PAIR_SWEEP
#define HAND_TEXT "softmax_pair_sweep.k.h"
#define HAND_MADE wane_softmax_pair_sweep__generic
#define HAND_NAME wane_softmax_pair_sweep__neon_hand
#define HAND_SWEEPS 0
#define HAND_WRITES 0
#define HAND_PAIRS 1
#include "backend/cpu/softmax_hand.h"
