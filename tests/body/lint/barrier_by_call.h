// refused: 8: barrier under the condition of line 7
K_FN void pause(K_CTX uint n) { K_BARRIER(); }
K_FN void pause_twice(K_CTX uint n) { pause(K_PASS n); pause(K_PASS n); }
K_FN uint own_label(K_CTX uint row) { return K_LD(work, row); }
K_FN void wait_some(K_CTX uint n)
{
    for (uint i = 0u; i < own_label(K_PASS n); i++)
        pause_twice(K_PASS n);
}
