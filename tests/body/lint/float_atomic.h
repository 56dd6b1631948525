// refused: 2: `atomicAdd`: no atomics
K_FN void add(K_CTX float a) { atomicAdd(sum, a); }
