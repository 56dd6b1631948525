// refused: 2: `uint64_t`
K_FN uint high_word(uint64_t x) { return K_UINT(x >> 32u); }
