// refused: 6: barrier under the condition of line 5
#if K_PHASE == 1
#else
    K_SS(sum, K_LANE, 1.0f);
    if (K_LANE < 3u) {
        K_BARRIER();
    }
#endif
