// Generalised cross-entropy (Zhang, Sabuncu, arXiv 1805.07836): (1 - p^q) / q = -expm1(-q n) / q, slope p^q. term_a is q.
K_FN row_term term_gce(K_CTX row_state row)
{
    row_term r;
    r.value = k_expm1_over(-K_P(term_a), row.n);
    r.slope = k_exp(k_clamp(-K_P(term_a) * row.n));
    return r;
}
