// refused: 2: `fma` differs between devices
K_FN float chain(float a, float b, float c) { return fma(a, b, c); }
