// tile_cell.h - one element of a tile kernel's output, of any type. After types.h; the output is the slot `product`.
#define TYPE_OF_OUT ((K_C(types) >> TILE_SHIFT_OUT) & 15u)

K_FN void store_cell(K_CTX float value, uint row, uint col)
{
    K_INDEX at = K_STEP(row, K_P(out_row)) + K_STEP(col, K_P(out_col));
    bool add = (K_W(flags) & TILE_ADD) != 0u;
    float x = value;
    if (TYPE_OF_OUT == TYPE_F32) {
        if (add) x += K_FLT(K_LD(product, at));
        K_ST(product, at, K_BITS(x));
    } else {
        if (add) x += K_FLT(half_to_word(TYPE_OF_OUT, K_LDH(product, at)));
        uint word = word_to_half(TYPE_OF_OUT, K_BITS(x));
        K_STH(product, at, word);
    }
}
