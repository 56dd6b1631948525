// Squared hinge: max(margin - t, 0)^2; slope -2 max(margin - t, 0). The value saturates at the largest finite f32.
K_FN pair_term pair_squared_hinge(K_CTX float t)
{
    pair_term r;
    float short_ = K_P(margin) - t;
    short_ = K_SELECT(short_ > 0.0f, short_, 0.0f);
    r.value = k_clamp(short_ * short_);
    r.slope = -2.0f * short_;
    return r;
}
