// refused: 5: `return` before the last barrier of `fold`
K_FN void pause(K_CTX uint n) { K_BARRIER(); }
K_FN float fold(K_CTX uint n)
{
    if (n == 0u) return 0.0f;
    K_SS(sum, K_LANE, 1.0f);
    pause(K_PASS n);
    return K_SL(sum, 0u);
}
