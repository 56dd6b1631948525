// One lane, one element: copies a word of the workspace to an output of any strides, inner elements by `stride`, groups of `inner` by `outer`, widened to i64 if asked;
// element by element to where the words at `order` say, unless that is 0.
#if K_PHASE == 1
#else
    uint word = K_LD(source, K_W(first) + K_ITEM);
    uint place = K_ITEM;
    if (K_W(order) != 0u) place = K_LD(source, K_W(order) + K_ITEM);
    K_INDEX at = K_STEP(place / K_W(inner), K_W(outer)) + K_STEP(place % K_W(inner), K_W(stride));
    if (K_W(widen) != 0u) {
        K_ST(dest, at * 2, word);
        K_ST(dest, at * 2 + 1, word >= 0x80000000u ? 0xffffffffu : 0u);
    } else {
        K_ST(dest, at, word);
    }
#endif
