// refused: 7: barrier under the condition of line 7
#if K_PHASE == 1
#else
    uint label = K_LD(work, K_ITEM);
    bool live = K_C(mode) == 1u;
    live = live && label != 0u;
    if (live) K_BARRIER();
#endif
