// refused: 2: `sample` is a reserved word of GLSL
K_FN float twice(float sample) { return 2.0f * sample; }
