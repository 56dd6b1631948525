// softmax_pair_write__neon.c - see softmax_hand_pair.h.
#define HAND_UPPER SOFTMAX_PAIR_WRITE
#define HAND_TEXT "softmax_pair_write.k.h"
#define HAND_MADE wane_softmax_pair_write__generic
#define HAND_NAME wane_softmax_pair_write__neon_hand
#define HAND_SWEEPS 0
#define HAND_WRITES 1
#define HAND_PAIRS 1
#include "backend/cpu/softmax_hand.h"
