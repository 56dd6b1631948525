// refused: 4: `k_sh`
#if K_PHASE == 1
#else
    k_sh.sum[K_LANE] = 1.0f;
#endif
