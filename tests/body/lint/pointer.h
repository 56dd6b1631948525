// refused: 2: `->`: GLSL has no pointers
K_FN float of_row(K_CTX row_stats s) { return s->sum; }
