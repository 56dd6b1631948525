// refused: 2: `double`
K_FN float total(float a, float b) { return K_FLOAT(double(a) + b); }
