// One lane, one element: copies a word of the workspace to an output of any strides, inner elements by `stride`, groups of `inner` by `outer`, widened to i64 if asked.
#if K_PHASE == 1
#else
    uint word = K_LD(source, K_W(first) + K_ITEM);
    K_INDEX at = K_STEP(K_ITEM / K_W(inner), K_W(outer)) + K_STEP(K_ITEM % K_W(inner), K_W(stride));
    if (K_W(widen) != 0u) {
        K_ST(dest, at * 2, word);
        K_ST(dest, at * 2 + 1, word >= 0x80000000u ? 0xffffffffu : 0u);
    } else {
        K_ST(dest, at, word);
    }
#endif
