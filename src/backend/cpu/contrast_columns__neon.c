// contrast_columns__neon.c - see contrast_columns_hand.h.
#define HAND_NAME wane_contrast_columns__neon_hand
#include "backend/cpu/contrast_columns_hand.h"
