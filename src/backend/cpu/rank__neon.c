// rank__neon.c - see rank_hand.h and rank_sort_hand.h.
#define HAND_SET neon
#define HAND_BASE generic
#include "backend/cpu/rank_hand.h"
#include "backend/cpu/rank_sort_hand.h"
