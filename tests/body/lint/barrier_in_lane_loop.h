// refused: 6: barrier under the condition of line 4
K_FN void wait_some(K_CTX uint n)
{
    for (uint v = K_LANE; v < n; v += K_LANES)
        if (n > 3u) {
            K_BARRIER();
        }
}
