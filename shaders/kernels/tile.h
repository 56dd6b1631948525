// tile.h - numbers that the kernels of the tile engine and its planner (src/loss/tile.h) agree on: #defines of plain
// numbers and nothing else.

// ---- tile_product: an item is one tile of the output ----
#define TILE_ROWS 64u
#define TILE_COLS 64u
#define TILE_DEPTH 16u             // what is in shared memory at a time, and what is summed before it joins the total
#define TILE_DEPTH_MOST 16384u     // of one pass: 1024 sums of TILE_DEPTH
#define TILE_WIDE_MOST 64u         // dim of tile_backward: what a group's lanes hold in registers

// constant `types`: TYPE_* of a, b, bias and out, 4 bits each
#define TILE_SHIFT_B 4u
#define TILE_SHIFT_BIAS 8u
#define TILE_SHIFT_OUT 12u

// constant `options`
#define TILE_A_BY_DEPTH 1u         // neighbours along the depth are neighbours in memory, else neighbours along the rows:
#define TILE_B_BY_DEPTH 2u         // how lanes share out the loads, no more
#define TILE_BIAS 4u               // bias is bound
#define TILE_LIVE_ROWS 8u          // rows from live[0] - first on need not be made
#define TILE_LIVE_DEPTH 16u        // the depth may end there: what is behind is 0
// of tile_backward: whether the groups own rows of the logits, else columns; what they make of them
#define TILE_OWN_ROWS 32u
#define TILE_OUT 64u               // slopes times the other side
#define TILE_OUT_SUMS 128u         // slopes summed over the other side

// window.flags
#define TILE_ADD 1u                // to what out holds; else out is only written
#define TILE_ACROSS 2u             // item + 1 is the next tile of the same rows; else the next tile of the same columns
#define TILE_MAY_ROUND 4u          // an override may round an f32 operand to the other one's type (never needed)
#define TILE_ADD_SUMS 8u           // of tile_backward's sums: to what is there

// ---- tile_sums: an item is so many columns ----
#define TILE_SUM_COLS 128u
#define TILE_SUM_ROWS 64u          // summed by themselves before they join the total
