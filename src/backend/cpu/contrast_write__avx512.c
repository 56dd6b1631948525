// contrast_write__avx512.c - see contrast_hand.h.
#define HAND_NAME wane_contrast_write__avx512_hand
#include "backend/cpu/contrast_hand.h"
