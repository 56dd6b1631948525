// rank__neon.c - see rank_hand.h, rank_sort_hand.h and rank_items_hand.h.
#define HAND_SET neon
#define HAND_BASE generic
#include "backend/cpu/rank_hand.h"
#include "backend/cpu/rank_sort_hand.h"
#include "backend/cpu/rank_items_hand.h"
