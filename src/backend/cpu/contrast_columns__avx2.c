// contrast_columns__avx2.c - see contrast_columns_hand.h.
#define HAND_NAME wane_contrast_columns__avx2_hand
#include "backend/cpu/contrast_columns_hand.h"
