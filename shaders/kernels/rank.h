// rank.h - where the ranking kernels keep things. Read by the kernels and by the planner (src/loss/ranking.c), so it
// holds #defines of plain numbers and nothing else. Record fields at_* are word offsets into the workspace.

// ---- scalars, words from the workspace's start ----
#define RANK_LOSS 0u               // f32
#define RANK_PAIRS_LO 1u           // u64: pairs of all groups
#define RANK_PAIRS_HI 2u
#define RANK_AUC 4u                // f32
#define RANK_FACTOR 3u             // f32: what the reduction multiplies every gradient with
#define RANK_MEAN_POS 16u          // f32: means from the first score on, and 1 / counts, 0 for a class without items
#define RANK_MEAN_NEG 17u
#define RANK_EACH_POS 18u
#define RANK_EACH_NEG 19u
#define RANK_ALPHA 20u             // f32: max(margin + mean_neg - mean_pos, 0), 0 unless there are both
#define RANK_STATUS 8u             // u32[8]
#define RANK_SCALARS 64u           // words reserved

// ---- what is told of a group, of a part of the groups, and of all: TALLY_COUNTS words ----
#define TALLY_VALUE 0u             // f32: sum over pairs; of a group, special values as stored bits
#define TALLY_CLASS 1u             // 1 NaN, 2 +inf; or-ed, the others added
#define TALLY_PAIRS_LO 2u          // u64: pairs
#define TALLY_PAIRS_HI 3u
#define TALLY_LIVE 4u              // groups with a pair that are not dropped
#define TALLY_STATUS 5u            // eight words of status
#define TALLY_AUC 13u              // f32: sum over groups
#define TALLY_COUNTS 14u

// ---- planes of the groups, record.group_words each, from record.at_group_plane; first those of the tally ----
#define GROUP_STATE 14u            // GROUP_*
#define GROUP_FACTOR 15u           // f32: what its gradients are multiplied with
#define GROUP_NDCG 16u             // f32
#define GROUP_PLANES 17u

#define STATUS_BAD 0u              // bad labels
#define STATUS_ODD 1u              // scores that are NaN or infinite
#define STATUS_NONE 3u             // groups without a pair
#define STATUS_OFFSETS 4u          // bad offsets
#define STATUS_PAIRS 5u            // bad pairs
#define STATUS_NAN 6u              // groups that are NaN

#define GROUP_NORMAL 0u
#define GROUP_NAN 1u               // value and gradients are NaN
#define GROUP_DROPPED 2u           // a bad label or offset: counts nowhere

#define RANK_NO_GROUP 0xffffffffu
#define RANK_BAD_OFFSET 0xffffffffu

// ---- flags of an item, record.at_flags ----
#define ITEM_ODD 1u                // its score or weight is NaN or infinite
#define ITEM_BAD 2u                // its label is bad: its group is dropped
#define ITEM_GAINLESS 4u           // its label has no gain, which the output ndcg alone needs: its group has no ndcg
#define ITEM_PULLED 8u             // of a given pair: its upstream gradient is NaN or infinite

// ---- sums: SUM_WORDS for each block of SUM_BLOCK words, then for each block of blocks (from sum_level) ----
#define SUM_BLOCK 256u
#define SUM_WORDS 2u
#define SUM_PART 32u               // terms that are added before they join the rest
#define SUM_FLOAT 0u               // f32
#define SUM_LONG 1u                // u64 of u32
#define SUM_FLAGS 2u               // how many words have ITEM_ODD, how many ITEM_BAD
#define SUM_GAINLESS 3u            // how many words have ITEM_GAINLESS
#define SUM_OF_LOSS 0u             // which sum, record.sum_words each
#define SUM_OF_PAIRS 1u
#define SUM_OF_FLAGS 2u
#define SUM_OF_DCG 3u
#define SUM_OF_IDEAL 4u
#define SUM_OF_HALVES 5u
#define SUM_OF_GAINLESS 5u         // no loss has both
#define SUM_OF_TERMS 3u            // of given pairs: entries sorted by item
#define SUM_OF_ODD 4u
#define RANK_SUMS 6u

// ---- sort: pairs of planes, keys and then (sort_words later) indices, ascending and stable ----
#define SORT_CHUNK 32u

// ---- window.mode of rank_map ----
#define MAP_SCORES 0u              // keys that put the highest score first
#define MAP_LABELS 1u              // keys that put the highest label first
#define MAP_RANKS 2u               // from positions by score: rank, discount, share of the DCG
#define MAP_IDEAL 3u               // from positions by label: share of the ideal DCG
#define MAP_TABLE 4u               // differences of neighbouring discounts
#define MAP_LEVELS 5u              // in place of pairs: whether a label differs from its group's first
#define MAP_ABOVE 6u               // from positions by score: whether the item is positive
#define MAP_CLASSES 8u             // scores of positives, and of negatives, from the first score on
#define MAP_MOMENTS 9u             // one lane: the classes' means and counts
#define MAP_CENTRED 10u            // values and gradients from the moments
#define MAP_HALVES 7u              // twice the positives above a negative, ties half
#define MAP_GROUPS 11u             // the group of each item

// ---- scan ----
#define SCAN_BLOCK 128u
#define SCAN_UP 1u                 // else down
#define SCAN_MAX 2u                // else sums

// ---- parts of a reduction over the groups: a tally in PART_WORDS ----
#define PART_WORDS 16u
#define PART_GROUPS 16384u         // groups of one part
#define REDUCE_PART 0u
#define REDUCE_ALL 1u

// ---- pairs ----
#define PAIR_ITEMS 128u            // items of a work item
#define PAIR_BLOCK 64u             // partners whose terms make one sum: equal ones err to one side, and by their number
// constant `pair_weight`: a choice of the parameter, and whether items have weights
#define WEIGHT_KIND 15u
#define WEIGHT_NONE 0u
#define WEIGHT_LABEL_DIFF 1u
#define WEIGHT_LAMBDA 2u
#define WEIGHT_NDCG_LOSS1 3u
#define WEIGHT_NDCG_LOSS2 4u
#define WEIGHT_NDCG_LOSS2PP 5u
#define WEIGHT_PRECISION 6u
#define WEIGHT_PROFIT 7u
#define WEIGHT_OF_ITEMS 16u
#define PAIR_NO_VALUE 32u          // beside the weight: gradients alone are asked for, all values are 0
#define PAIR_MIXED 0x80000000u     // of an item's pairs while they are counted: its group has another label

// ---- record.flags ----
#define RANK_HAS_OFFSETS 1u
#define RANK_OFFSETS_I64 2u
#define RANK_LABELS_I32 4u
#define RANK_HAS_WEIGHT 8u
#define RANK_HAS_UPSTREAM 16u
#define RANK_ACCUMULATE 32u
#define RANK_GAINS 64u             // labels become gains: 0..30 alone have one
#define RANK_BINARY 128u           // labels are positive or not
#define RANK_VALUES 256u           // a plane of labels as f32
#define RANK_NORMALISED 512u       // values and gradients are divided by the ideal DCG
#define RANK_WITH_AUC 1024u
#define RANK_GIVEN 2048u           // pairs are given; the group is all of them
#define RANK_ACTIVE 4096u          // a pair on its margin is active

// ---- window.mode of rank_collect ----
#define COLLECT_ENTRIES 0u
#define COLLECT_ITEMS 1u

// record.reduction: WANE_REDUCTION_*
#define RANK_NONE 0u
#define RANK_MEAN 1u
#define RANK_SUM 2u
#define RANK_GROUP_MEAN 3u
