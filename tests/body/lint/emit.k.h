// refused: 5: a LANE kernel has neither barriers nor shared memory
#if K_PHASE == 1
#else
    K_ST(dest, K_ITEM, 0u);
    K_BARRIER();
#endif
