// refused: 6: `return` in a kernel's statements
#if K_PHASE == 1
#else
    uint row = K_ITEM;
    if (row > K_W(first)) {
        return;
    }
    K_ST(dest, row, 0u);
#endif
