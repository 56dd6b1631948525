// Comp-sum (Mao, Mohri, Zhong, arXiv 2304.07288): expm1(a n) / a with a = 1 - tau, slope e^(a n). term_a is tau.
// A value at the largest finite f32 is taken for infinite by the link; the slope saturates.
K_FN row_term term_comp_sum(K_CTX row_state row)
{
    row_term r;
    float a = 1.0f - K_P(term_a);
    r.value = k_expm1_over(a, row.n);
    r.slope = k_exp(k_clamp(a * row.n));
    return r;
}
