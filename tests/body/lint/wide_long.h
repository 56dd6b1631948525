// refused: 2: `long`
K_FN uint low_word(long x) { return K_UINT(x); }
