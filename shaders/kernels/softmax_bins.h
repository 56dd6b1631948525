// softmax_bins.h - masses of a normal distribution in bins, without cancellation in the tails. Lengths are in units of
// sqrt(2) sigma: a mass is the difference of erf at the edges.

// erfc(x) for x >= 0: e^(-x^2) times a function without exponentials, fitted as the elementary ones are. Relative
// 1.5e-7 + x^2 eps (the square's rounding), up to x = 9.3, beyond which it is 0.
K_FN float k_erfc(float x)
{
    float t = 1.0f / (1.0f + 0.4f * x);
    float q = 0.069691135f + t * (0.102306781f + t * (0.0716308233f + t * (-0.134418884f + t * 0.0400544019f)));
    float p = 0.225624491f + t * (0.22660561f + t * (0.200750955f + t * (0.197754744f + t * q)));
    return k_exp(-x * x) * (t * p);
}

// The mass between centre - width / 2 and centre + width / 2, width >= 0. A bin that is narrow in the density's own
// measure by the series of its integral around the centre; a wide one by erfc, whose values then are well apart.
K_FN float mass_between(float centre, float width)
{
    float c = K_SELECT(centre < 0.0f, -centre, centre);
    float h = 0.5f * width;
    float low = c - h;
    float high = c + h;
    float c2 = K_MIN(c * c, 100.0f);
    float h2 = h * h;
    // (2 / sqrt pi) width e^(-c^2) (1 + (4 c^2 - 2) h^2 / 6 + (16 c^4 - 48 c^2 + 12) h^4 / 120 + ...)
    float s = 1.0f + h2 * ((4.0f * c2 - 2.0f) * 0.16666667f + h2 * ((c2 * (16.0f * c2 - 48.0f) + 12.0f) * 0.0083333333f
        + h2 * ((c2 * (c2 * (64.0f * c2 - 480.0f) + 720.0f) - 120.0f) * 1.984127e-4f)));
    float narrow = 1.1283792f * width * k_exp(-c2) * s;
    float above = k_erfc(K_MIN(high, 10.0f));
    float below = k_erfc(K_MIN(K_SELECT(low < 0.0f, -low, low), 10.0f));
    float wide = K_SELECT(low < 0.0f, (2.0f - below) - above, below - above);
    return width * (c + 1.0f) < 0.5f ? narrow : wide;
}
