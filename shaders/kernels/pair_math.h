// pair_math.h - what the links of pairs have instead of elementary.h: shorter chains of operations, since a pair's latency is
// what its loop waits for.

// e^-size for size >= 0, 2 ulp; e^-87.3 beyond 87.3, about the smallest normal f32. Infinity is allowed in.
K_FN float pair_exp(float size)
{
    float c = K_SELECT(size < 87.3f, -size, -87.3f);
    int n = K_INT(c * 1.44269504f - 0.5f);     // to nearest: a conversion cuts towards 0
    float whole = K_FLOAT(n);
    float r = (c - whole * 0.693359375f) - whole * -2.12194440e-4f;
    float q = 0.49999994f + r * (0.16666521f + r * (0.041668389f + r * (0.0083687454f + r * 0.0013814538f)));
    return (1.0f + (r + r * r * q)) * K_FLT(K_UINT(n + 127) << 23u);
}
