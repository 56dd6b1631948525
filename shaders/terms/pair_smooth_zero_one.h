// Smooth 0-1: 1 / (1 + e^(sigma t)); slope -sigma p (1 - p), with both factors from one exponential.
K_FN pair_term pair_smooth_zero_one(K_CTX float t)
{
    pair_term r;
    float x = K_P(sigma) * t;
    float size = K_SELECT(x < 0.0f, -x, x);
    float e = pair_exp(size);
    float d = 1.0f + e;
    r.value = K_SELECT(x < 0.0f, 1.0f, e) / d;
    r.slope = -K_P(sigma) * (e / (d * d));
    return r;
}
