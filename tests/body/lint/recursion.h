// refused: 4: recursion: `even` calls itself
K_FN bool odd(K_CTX uint n);
K_FN bool even(K_CTX uint n) { return n == 0u ? true : odd(K_PASS n - 1u); }
K_FN bool odd(K_CTX uint n) { return n == 0u ? false : even(K_PASS n - 1u); }
