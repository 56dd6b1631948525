// Exponential link (RankBoost): e^(-sigma t); slope -sigma times that. Saturates at the largest finite f32.
K_FN pair_term pair_exponential(K_CTX float t)
{
    pair_term r;
    r.value = k_exp(k_clamp(-K_P(sigma) * t));
    r.slope = -K_P(sigma) * r.value;
    return r;
}
