// contrast.h - numbers that the contrastive kernels and their planner (src/loss/contrastive.c) agree on: #defines of plain
// numbers and nothing else. Planes, flags and scalars of a side are those of a row loss: softmax.h.

// ---- scalars, words from the workspace's start, beside SOFTMAX_* ----
#define CONTRAST_SCALE 16u
#define CONTRAST_BIAS 17u

// ---- planes of a side that the link fills for outputs which these losses do not have ----
#define PLANE_PAIR_LOSS PLANE_ARGMAX       // of clip: the values of row i and of column i
#define PLANE_DOT PLANE_LSE                // the row's part of grad_scale
#define PLANE_SLOPES PLANE_ENTROPY         // the row's part of grad_bias

// ---- constant `types`: TYPE_* of the side's rows, and of their gradient shifted by SHIFT_GRAD ----
// ---- constant `options` ----
#define CONTRAST_NORMALIZE 1u
#define CONTRAST_SCALED 2u                 // the side that the scale multiplies
#define CONTRAST_ADD 4u                    // to what the gradient holds
#define CONTRAST_IN_PLACE 8u               // the sums lie where the gradient will
#define CONTRAST_STORE 16u                 // a gradient is asked for
#define CONTRAST_COLUMNS 32u               // columns have losses of their own

// ---- record.flags ----
#define HAS_LABELS 1u
#define HAS_LABELS_I64 2u
#define HAS_PAIR_UPSTREAM 4u
#define HAS_SCALE 8u
#define HAS_BIAS 16u
#define EVERY_ROW_COUNTS 32u               // also one without a positive
#define OF_A_BLOCK 64u                     // rows and columns are some of a batch's

// ---- window.mode of contrast_pairs ----
#define PAIRS_ROWS 0u                      // of rows: labels, or the diagonal
#define PAIRS_COLUMNS 1u                   // of columns: the row whose label it is, or the diagonal
#define PAIRS_CHECK 2u                     // a label that an earlier row has is a bad one
#define PAIRS_JOIN 3u                      // values of row i and of column i (of a split batch: column i + shift)
#define PAIRS_HERE 4u                      // a value counts in the block that holds its pair: elsewhere it is 0
