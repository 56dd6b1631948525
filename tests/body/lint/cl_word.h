// refused: 2: `kernel` is a reserved word of OpenCL C
K_FN float twice(float kernel) { return 2.0f * kernel; }
