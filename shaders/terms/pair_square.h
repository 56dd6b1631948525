// Square: (margin - t)^2; slope -2 (margin - t).
K_FN pair_term pair_square(K_CTX float t)
{
    pair_term r;
    float short_ = K_P(margin) - t;
    r.value = short_ * short_;
    r.slope = -2.0f * short_;
    return r;
}
