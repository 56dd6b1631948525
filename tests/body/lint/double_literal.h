// refused: 2: `0.5` is a double in C
K_FN float halve(float a) { return a * 0.5; }
