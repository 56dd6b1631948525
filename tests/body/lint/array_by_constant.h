// refused: 5: array `cell` is sized by a constant that is no literal
#define CELLS (K_C(width) * 2u)
K_FN float first_cell(K_CTX uint n)
{
    float cell[CELLS];
    cell[0] = K_FLOAT(n);
    return cell[0];
}
