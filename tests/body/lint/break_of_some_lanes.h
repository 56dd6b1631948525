// refused: 5: `break` under the condition of line 5
K_FN void wait_some(K_CTX uint n)
{
    for (uint i = 0u; i < n; i++) {
        if (K_SL(word, i) == 0u) break;
        K_BARRIER();
    }
}
