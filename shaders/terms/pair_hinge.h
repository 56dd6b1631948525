// Hinge: max(margin - t, 0); slope -1 below the margin, 0 from there on.
K_FN pair_term pair_hinge(K_CTX float t)
{
    pair_term r;
    float short_ = K_P(margin) - t;
    r.value = K_SELECT(short_ > 0.0f, short_, 0.0f);
    r.slope = K_SELECT(short_ > 0.0f, -1.0f, 0.0f);
    return r;
}
