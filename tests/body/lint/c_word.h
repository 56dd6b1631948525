// refused: 2: `register` is a keyword of C
K_FN float twice(float register) { return 2.0f; }
