// elementary.h - elementary functions of our own, the same on every device (Vulkan promises log only to 2^-21 near 1, GLSL has
// no log1p). Coefficients: minimax fits by iteratively reweighted least squares on the reduced range. Errors are over
// all f32 arguments of the stated range, in units in the last place of an exact f32 result.

// e^x, 2 ulp. Below -87.3 the result is 0 (no denormals), above 88.7 the largest finite f32. No NaN or inf allowed in.
// exp(0) is exactly 1, on which merging with an empty part relies.
K_FN float k_exp(float x)
{
    float low = K_SELECT(x > -87.3f, x, -87.3f);
    float c = K_SELECT(low < 88.72f, low, 88.72f);
    float n = K_FLOOR(c * 1.44269504f + 0.5f);
    float r = c - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    float q = 0.49999994f + r * (0.16666521f + r * (0.041668389f + r * (0.0083687454f + r * 0.0013814538f)));
    float p = 1.0f + (r + r * r * q);
    // 2^n in two factors, since n reaches 128
    int a = K_INT(n) / 2;
    int b = K_INT(n) - a;
    float y = p * K_FLT(K_UINT(a + 127) << 23u) * K_FLT(K_UINT(b + 127) << 23u);
    return K_SELECT(x < -87.3f, 0.0f, K_SELECT(x > 88.72f, 3.4028235e38f, y));
}

// log((1 + t) / (1 - t)) = 2 atanh(t) for |t| <= 1/3.
K_FN float k_atanh2(float t)
{
    float q = t * t;
    float s = 0.33333334f + q * (0.20000027f + q * (0.14284192f + q * (0.11150856f + q * (0.08572967f + q * 0.10899378f))));
    return 2.0f * t + 2.0f * t * (q * s);
}

// log(1 + u) for u in [0, 1], 2 ulp.
K_FN float k_log1p(float u) { return k_atanh2(u / (2.0f + u)); }

// log(x) for normal positive x, 2 ulp where |log x| > 0.3, absolute 1e-7 near 1.
K_FN float k_log(float x)
{
    uint u = K_BITS(x);
    int e = K_INT(u >> 23u) - 127;
    float m = K_FLT((u & 0x7fffffu) | 0x3f800000u);
    e = m > 1.41421356f ? e + 1 : e;
    m = m > 1.41421356f ? m * 0.5f : m;
    float l = k_atanh2((m - 1.0f) / (m + 1.0f));
    float n = K_FLOAT(e);
    return (l + n * -2.12194440e-4f) + n * 0.693359375f;
}

// e^x - 1, 3 ulp, for the range of k_exp.
K_FN float k_expm1(float x)
{
    float b = K_SELECT(x > -0.36f, x, -0.36f);
    float r = K_SELECT(b < 0.36f, b, 0.36f);
    float q = 0.5f + r * (0.16666667f + r * (0.041666303f + r * (0.0083332639f + r * (0.0013945131f + r * 1.9919936e-4f))));
    float small = r + r * r * q;
    float large = k_exp(x) - 1.0f;
    return K_SELECT(r == x, small, large);
}

// tanh(x), 4 ulp.
K_FN float k_tanh(float x)
{
    float a = K_SELECT(x < 0.0f, -x, x);
    float e = k_expm1(-2.0f * K_SELECT(a < 20.0f, a, 20.0f));
    float y = -e / (2.0f + e);
    return K_SELECT(x < 0.0f, -y, y);
}

// 1 / cosh(x)^2, the slope of tanh, without 1 - tanh^2, which cancels where tanh saturates.
K_FN float k_tanh_slope(float x)
{
    float a = K_SELECT(x < 0.0f, -x, x);
    // e^-2a by halves: four times it is a normal f32 where it is none itself
    float h = 2.0f * k_exp(-K_SELECT(a < 50.0f, a, 50.0f));
    float e = h * h;
    float d = 1.0f + 0.25f * e;
    return e / (d * d);
}

// log(1 + e^x), relative 4 ulp.
K_FN float k_softplus(float x)
{
    float u = k_exp(x > 0.0f ? -x : x);
    return (x > 0.0f ? x : 0.0f) + k_log1p(u);
}

// 1 / (1 + e^-x), relative 4 ulp down to e^-87.
K_FN float k_sigmoid(float x)
{
    float e = k_exp(x > 0.0f ? -x : x);
    return (x > 0.0f ? 1.0f : e) / (1.0f + e);
}

// The largest finite f32 in place of what is beyond it, infinities included.
K_FN float k_clamp(float x)
{
    float y = K_SELECT(x > 3.4028235e38f, 3.4028235e38f, x);
    return K_SELECT(y < -3.4028235e38f, -3.4028235e38f, y);
}

// expm1(a n) / a for n >= 0, and n at a = 0: near it the quotient is replaced by its series, so that there is no seam.
// Past f32's range the largest finite f32. Relative 4 ulp.
K_FN float k_expm1_over(float a, float n)
{
    float an = k_clamp(a * n);
    float size = an < 0.0f ? -an : an;
    return size < 1.0e-4f ? n * (1.0f + 0.5f * an) : an > 88.72f ? 3.4028235e38f : k_expm1(an) / a;
}
