// softmax_columns.h - the columns of a row as a group sees them: what sweep and write have in common.
//
// 128 virtual lanes share a row whatever the group's size: virtual lane v has the columns begin + v + 128 k. A lane runs
// K_OWN of them, so that sums and their order, and with them the bits, do not depend on the group. A block is 8 columns
// of every virtual lane; a block's 8 terms are added pairwise before they join the running sum, which keeps every chain
// of additions under 1024 for slices of up to 2^20 columns.
//
// Columns are numbered over the whole row; the bound windows of logits, weight and grad begin at window.col0.

#include "types.h"
#include "softmax_class.h"

#define VIRTUAL_LANES 128u
#define BLOCK_STEPS 8u
#define BLOCK_COLUMNS 1024u
#define BLOCK_CELLS (BLOCK_STEPS * K_OWN)
#define CELL_COLUMN(first, u, s) ((first) + (u) * VIRTUAL_LANES + (s) * K_LANES + K_LANE)
#define CELL_LIVE(first, u, s, end) (CELL_COLUMN(first, u, s) < (end) && (s) * K_LANES + K_LANE < VIRTUAL_LANES)
#define LANES_EVEN (K_OWN * K_LANES == VIRTUAL_LANES)

// Whether a block has all of its columns, which then lie side by side: the path that C compilers vectorise.
#define BLOCK_WHOLE(first, end, stride) (LANES_EVEN && (end) - (first) >= BLOCK_COLUMNS && (stride) == 1u)
// Where a row of an operand begins: rows are (outer, inner), each with its stride.
#define ROW_AT(row, outer, inner) (K_STEP((row) / K_P(rows_inner), outer) + K_STEP((row) % K_P(rows_inner), inner))
#define LOGITS_TYPE (K_C(types) & 15u)

// Steps of a block that hold any column. Where lanes run one virtual lane each the loops must have known lengths (private
// arrays stay in registers then); where a lane runs many, short rows save most of a block.
#define STEPS_LIVE(first, end) \
    (K_OWN > 32u ? K_MIN(BLOCK_STEPS, ((end) - (first) + VIRTUAL_LANES - 1u) / VIRTUAL_LANES) : BLOCK_STEPS)

// One block of a row of logits as f32 words; -inf where there is no column. A kernel defines LOAD_LOGIT and
// LOAD_LOGIT_HALF before it includes this text: where logits are read, in words and in halves.
K_FN void load_block(K_CTX K_INOUT_ARRAY(uint, word, BLOCK_CELLS), uint row, uint first, uint end)
{
    K_INDEX at = ROW_AT(row, K_P(logits_outer), K_P(logits_row)) + K_STEP(first - K_W(col0), K_P(logits_col));
    bool halves = LOGITS_TYPE != TYPE_F32;
    if (BLOCK_WHOLE(first, end, K_P(logits_col))) {
        if (halves)
            K_UNROLL for (uint u = 0u; u < BLOCK_STEPS; u++)
                for (uint s = 0u; s < K_OWN; s++)
                    word[u * K_OWN + s] = LOAD_LOGIT_HALF(at + K_WIDE(u * VIRTUAL_LANES + s * K_LANES + K_LANE));
        else
            K_UNROLL for (uint u = 0u; u < BLOCK_STEPS; u++)
                for (uint s = 0u; s < K_OWN; s++)
                    word[u * K_OWN + s] = LOAD_LOGIT(at + K_WIDE(u * VIRTUAL_LANES + s * K_LANES + K_LANE));
    } else {
        K_UNROLL for (uint u = 0u; u < STEPS_LIVE(first, end); u++)
            for (uint s = 0u; s < K_OWN; s++) {
                K_INDEX i = at + K_STEP(u * VIRTUAL_LANES + s * K_LANES + K_LANE, K_P(logits_col));
                word[u * K_OWN + s] = halves ? (LOGITS_TYPE == TYPE_F16 ? 0xfc00u : 0xff80u) : K_WORD_MINUS_INF;
                if (CELL_LIVE(first, u, s, end)) word[u * K_OWN + s] = halves ? LOAD_LOGIT_HALF(i) : LOAD_LOGIT(i);
            }
    }
    if (halves)
        for (uint q = 0u; q < STEPS_LIVE(first, end) * K_OWN; q++) word[q] = half_to_word(LOGITS_TYPE, word[q]);
}
