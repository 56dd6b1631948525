// Square: (margin - t)^2; slope -2 (margin - t). The value saturates at the largest finite f32.
K_FN pair_term pair_square(K_CTX float t)
{
    pair_term r;
    float short_ = K_P(margin) - t;
    r.value = k_clamp(short_ * short_);
    r.slope = -2.0f * short_;
    return r;
}
