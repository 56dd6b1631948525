// Logistic link (RankNet): log(1 + e^(-sigma t)); slope -sigma / (1 + e^(sigma t)). One exponential and one division serve
// both: log(1 + e) = 2 atanh(e / (2 + e)).
K_FN pair_term pair_logistic(K_CTX float t)
{
    pair_term r;
    float x = K_P(sigma) * t;
    float size = K_SELECT(x < 0.0f, -x, x);
    float e = pair_exp(size);
    float a = 1.0f + e;
    float b = 2.0f + e;
    float inverse = 1.0f / (a * b);
    r.value = K_SELECT(x < 0.0f, size, 0.0f) + k_atanh2(e * (a * inverse));
    r.slope = K_SELECT(x < 0.0f, -K_P(sigma), -K_P(sigma) * e) * (b * inverse);
    return r;
}
