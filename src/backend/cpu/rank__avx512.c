// rank__avx512.c - see rank_hand.h, rank_sort_hand.h and rank_items_hand.h.
#define HAND_SET avx512
#define HAND_BASE avx512
#include "backend/cpu/rank_hand.h"
#include "backend/cpu/rank_sort_hand.h"
#include "backend/cpu/rank_items_hand.h"
