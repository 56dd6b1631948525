// Exponential link (RankBoost): e^(-sigma t); slope -sigma times that. Both saturate at the largest finite f32: a weight of 0
// makes 0 of them.
K_FN pair_term pair_exponential(K_CTX float t)
{
    pair_term r;
    r.value = k_exp(k_clamp(-K_P(sigma) * t));
    r.slope = k_clamp(-K_P(sigma) * r.value);
    return r;
}
