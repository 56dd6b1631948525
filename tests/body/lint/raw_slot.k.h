// refused: 4: `s_work`
#if K_PHASE == 1
#else
    K_ST(dest, K_ITEM, s_work[K_ITEM]);
#endif
