// softmax.h - where the softmax kernels keep things. Read by the kernels and by the planner (src/loss/softmax.c), so
// it holds #defines of plain numbers and nothing else.

// ---- scalars, words from the workspace's start ----
#define SOFTMAX_WEIGHT_SUM 0u      // f32: denominator of mean
#define SOFTMAX_VALID 1u           // u32: valid rows
#define SOFTMAX_LOSS 2u            // f32
#define SOFTMAX_ACCURACY 3u        // f32
#define SOFTMAX_STATUS 8u          // u32[8]
#define SOFTMAX_LIVE 16u           // u32: rows of the batch that count, where they come first
#define SOFTMAX_SCALARS 64u        // words reserved

// ---- parts of a reduction, SOFTMAX_PART_WORDS each, from record.partials ----
#define SOFTMAX_PART_SUM 0u
#define SOFTMAX_PART_CLASS 1u      // WANE_FLAG_* classes of the summed values, or-ed: 1 NaN, 2 +inf
#define SOFTMAX_PART_VALID 2u
#define SOFTMAX_PART_BAD 3u
#define SOFTMAX_PART_NAN 4u
#define SOFTMAX_PART_MINUS 5u
#define SOFTMAX_PART_CORRECT 6u
#define SOFTMAX_PART_DROPPED 7u
#define SOFTMAX_PART_WORDS 8u
#define SOFTMAX_REDUCE_ROWS 16384u // rows of one part

// ---- planes of a batch, record.plane_rows words each, from record.planes ----
#define PLANE_LABEL 0u             // column, or SOFTMAX_NO_COLUMN
#define PLANE_FLAGS 1u             // FLAG_*
#define PLANE_WEIGHT 2u            // weight[y]
#define PLANE_ROW_WEIGHT 3u
#define PLANE_UPSTREAM 4u
#define PLANE_UPSTREAM_LSE 5u
#define PLANE_ROW_LOSS 6u
#define PLANE_LSE 7u
#define PLANE_ENTROPY 8u
#define PLANE_ARGMAX 9u            // i32
#define PLANE_MAX 10u              // merged statistics
#define PLANE_SUM 11u
#define PLANE_TARGET 12u
#define PLANE_SUM_EX 13u
#define PLANE_SUM_WX 14u
#define PLANE_SUM_W 15u
#define PLANE_COEF 16u             // COEF_COUNT planes
#define COEF_MODE 0u               // ROW_*, as u32
#define COEF_P 1u                  // times exp(x_j - max)
#define COEF_TARGET 2u             // the whole gradient of the target column
#define COEF_W 3u                  // times weight[j]
#define COEF_EX 4u                 // times exp(x_j - max) (x_j - max)
#define COEF_TOP 5u                // max
#define COEF_COUNT 6u
#define PLANE_ORDER 22u            // with OPTION_ORDERED: the operands' row of each row here
#define SOFTMAX_PLANES 23u
// then, for split rows, record.slices times SLICE_PLANES planes; slice s, plane k at SOFTMAX_PLANES + s * SLICE_PLANES + k
#define SLICE_MAX 0u
#define SLICE_SUM 1u
#define SLICE_TARGET 2u
#define SLICE_FLAGS 3u
#define SLICE_SUM_EX 4u
#define SLICE_SUM_WX 5u
#define SLICE_SUM_W 6u
#define SLICE_BEST 7u
#define SLICE_LEAD 8u              // the logit of BEST as stored, before a softcap; the target is among these
#define SLICE_PLANES 9u

#define SOFTMAX_NO_COLUMN 0xffffffffu
#define SOFTMAX_ELSEWHERE 0xfffffffeu // a column of another call, of a vocabulary that is split

// ---- flags of a row: the low eight are public (WANE_FLAG_*) ----
#define FLAG_NAN 1u
#define FLAG_PLUS_INF 2u
#define FLAG_OTHER 4u              // a column other than the target is above -inf
#define FLAG_MINUS_INF 8u          // a column of non-zero weight is -inf
#define FLAG_TARGET 16u
#define FLAG_TARGET_MINUS_INF 32u
#define FLAG_BAD 64u
#define FLAG_IGNORED 128u
#define FLAG_CORRECT 256u          // argmax is the target
#define FLAG_ALL_MINUS_INF 512u
#define FLAG_DROPPED 1024u         // ignored because it has no positive
#define FLAG_ADRIFT 2048u          // its upstream is NaN or infinite: so is its gradient, and no value

#define ROW_NORMAL 0u
#define ROW_ZERO 1u
#define ROW_NAN 2u

// ---- constant `options` ----
#define OPTION_GRAD 1u             // write a gradient
#define OPTION_ACCUMULATE 2u       // add it to what is there
#define OPTION_SOFTCAP 4u
#define OPTION_WEIGHT_SUMS 8u      // label smoothing: sums over the columns
#define OPTION_CLASS_WEIGHT 16u    // weight is given
#define OPTION_ENTROPY 32u
#define OPTION_ARGMAX 64u
#define OPTION_IN_PLACE 256u       // logits and gradient are the same memory, bound as grad
#define OPTION_NO_TARGET 512u      // no target column: every column is one of the others, PLANE_LABEL is not looked at
#define OPTION_ORDERED 2048u       // rows that count come first in planes and logits
#define OPTION_GIVEN 1024u         // statistics are the caller's, of all columns, the target among them
#define OPTION_MERGE 4096u         // link: merge a tensor's slices and do nothing else
#define OPTION_SAVE 128u           // the fused row keeps its statistics in planes

// ---- rows with a second source of weights (softmax_pair.h) ----
// A second tensor of logits is swept like the first, into planes of its own (record.second_planes).
#define PLANE_SWEPT PLANE_TARGET   // FLAG_* of the swept tensor: such rows have no target column
// sums of the pair kernels, in slices whose statistics are merged; two of them stand where saved statistics have them
#define SLICE_FORWARD SLICE_SUM_WX
#define SLICE_WEIGHTS SLICE_SUM_W
#define SLICE_REVERSE SLICE_SUM_EX
// coefficients under other names: the whole gradient of column j is P p_j + ALPHA (p_j - q_j) + BETA p_j (l_j - MEAN),
// with l_j = log(p_j / q_j), or -log q_j; or P p_j - ALPHA a_j
#define COEF_ALPHA COEF_TARGET
#define COEF_BETA COEF_W
#define COEF_MEAN COEF_EX
// constant `term` of the pair kernels
#define PAIR_FORWARD 1u            // weights of the second tensor, logarithms of the first
#define PAIR_REVERSE 2u
#define PAIR_DIVERGENCE 4u         // log(q / p), not -log p
#define PAIR_TEACHER 8u            // weights softmax(second)
#define PAIR_GIVEN 16u             // weights read
#define PAIR_BINS 32u              // weights generated: masses of a normal distribution around PLANE_LABEL, an f32

// ---- constant `types`: TYPE_* of logits, and of the gradient shifted by SHIFT_GRAD ----
#define SHIFT_GRAD 4u
#define SHIFT_SECOND 8u            // of the second tensor
#define TYPE_F32 0u
#define TYPE_F16 1u
#define TYPE_BF16 2u

// ---- record.flags ----
#define HAS_ROW_WEIGHT 1u
#define HAS_UPSTREAM 2u
#define HAS_UPSTREAM_LSE 4u
#define HAS_WEIGHT 8u
#define HAS_TARGET_I64 16u
#define HAS_TARGET 32u             // an index
#define HAS_AIM 64u                // target is an f32: PLANE_LABEL gets it, finite, or the row FLAG_NAN

// ---- record.statistics_mask bits: WANE_STATISTIC_* ----
#define SAVED_MAX 1u
#define SAVED_SUM 2u
#define SAVED_TARGET 4u
#define SAVED_FLAGS 8u
#define SAVED_SUM_EX 16u
#define SAVED_SUM_WX 32u
#define SAVED_SUM_W 64u

// record.reduction: WANE_REDUCTION_*
#define REDUCE_NONE 0u
#define REDUCE_MEAN 1u
#define REDUCE_SUM 2u

// window.mode of reduce and finish
#define MODE_COUNT 0u              // the denominator, before any row is swept
#define MODE_LOSS 1u
#define MODE_COLUMNS 2u            // of reduce: as MODE_LOSS, of what is no row and counts nowhere

#define K_WORD_NAN 0x7fc00000u
#define K_WORD_INF 0x7f800000u
#define K_WORD_MINUS_INF 0xff800000u
