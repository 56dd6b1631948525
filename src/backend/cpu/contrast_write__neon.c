// contrast_write__neon.c - see contrast_hand.h.
#define HAND_NAME wane_contrast_write__neon_hand
#include "backend/cpu/contrast_hand.h"
