// refused: 7: barrier under the condition of line 5
K_FN void wait_some(K_CTX uint n)
{
    uint v = 2u * K_LANE;
    if (v < n)
        K_SS(sum, v, 1.0f);
    else K_BARRIER();
}
