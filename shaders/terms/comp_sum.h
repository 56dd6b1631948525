// Comp-sum (Mao, Mohri, Zhong, arXiv 2304.07288): expm1(a n) / a with a = 1 - tau, slope e^(a n). term_a is a.
// Past f32's range the value is infinite (the link sees a value at the largest finite f32) and the slope saturates.
K_FN row_term term_comp_sum(K_CTX row_state row)
{
    row_term r;
    float a = K_P(term_a);
    float an = k_clamp(a * row.n);
    r.slope = k_exp(an);
    // near a n = 0 the quotient by a is replaced by its series, so that tau -> 1 has no seam
    float size = an < 0.0f ? -an : an;
    r.value = size < 1.0e-4f ? row.n * (1.0f + 0.5f * an) : an > 88.72f ? 3.4028235e38f : k_expm1(an) / a;
    return r;
}
