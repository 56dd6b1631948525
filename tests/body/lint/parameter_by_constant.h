// refused: 2: array `cell` is sized by a constant that is no literal
K_FN float first_cell(K_CTX K_INOUT_ARRAY(float, cell, K_C(width)), uint n) { return cell[n]; }
