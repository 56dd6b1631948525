// Logistic link (RankNet): log(1 + e^(-sigma t)); slope -sigma / (1 + e^(sigma t)). One exponential serves both.
K_FN pair_term pair_logistic(K_CTX float t)
{
    pair_term r;
    float x = k_clamp(K_P(sigma) * t);
    float size = K_SELECT(x < 0.0f, -x, x);
    float e = k_exp(-size);
    r.value = K_SELECT(x < 0.0f, size, 0.0f) + k_log1p(e);
    r.slope = -K_P(sigma) * (K_SELECT(x < 0.0f, 1.0f, e) / (1.0f + e));
    return r;
}
