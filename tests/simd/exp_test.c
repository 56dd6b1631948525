// exp_test.c - v_exp of one instruction set (the one that this file is compiled for) over f32: 2 ulp of a normal result, 0
// below, NaN for NaN; v_log1p over 0 to 1 and v_inverse, 2 ulp each. Every STEP-th word, or all of them with --all.
#include "backend/cpu/vector.h"

#include <math.h>
#include <stdio.h>

static float from_word(uint32_t word)
{
    float x;
    memcpy(&x, &word, 4);
    return x;
}

// Units in the last place of the f32 next to `exact`, a positive normal number.
static double ulp_of(double exact)
{
    int exponent;
    frexp(exact, &exponent);
    return ldexp(1, exponent - 24);
}

// e^x by halves of ln 2 and a long series: 1e-15. libm's exp is as right, and ten times slower over all words.
static double reference(double x)
{
    double n = floor(x * 1.4426950408889634 + 0.5), r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double sum = 1;
    for (int i = 13; i > 0; i--) sum = 1 + sum * r / i;
    return ldexp(sum, (int)n);
}

static int judge(float x, float y, double *worst)
{
    if (x != x) return y != y;
    if (x < -87.3f) return y == 0;
    double exact = reference((double)x), error = fabs((double)y - exact) / ulp_of(exact);
    if (error > *worst) *worst = error;
    return error <= 2;
}

// Of e^(x k) the argument has an error of its own, which 2 ulp do not count: only that it is near.
static int judge_factor(float factor)
{
    vec_exp k = v_exp_of(factor);
    float out[V_LANES];
    int good = 1;
    for (int i = -800; i <= 800; i++) {
        float x = (float)i * 0.1f / factor;
        v_store(out, v_exp(v_all(x), k));
        double exact = exp((double)x * (double)factor);
        good &= fabs((double)out[0] - exact) <= 3 * ulp_of(exact);
    }
    return good;
}

// v_exp_from, of logits around references of any size: 3 ulp of what is not small beside e^ref, 6 of the rest; the argument's
// own error (ln 2 as f32, times how far x is from ref) is counted.
static int judge_from(void)
{
    static const float refs[] = {0, 0.6931472f, -3.3f, 17.25f, -999.5f, 65000.0f};
    double worst[2] = {0, 0};
    for (size_t r = 0; r < sizeof refs / sizeof *refs; r++) {
        vec_from from = v_from(refs[r]);
        float out[V_LANES], least[V_LANES];
        v_store(least, from.least);
        if (fabs(from.at - (double)refs[r]) > 0.35) return printf("%.9g is far from %.9g\n", from.at, (double)refs[r]), 0;
        for (int i = -86000; i <= 1000; i++) {
            float x = refs[r] + (float)i * 0.001f;
            if (x < least[0]) x = least[0];
            v_store(out, v_exp_from(v_all(x), from));
            double exact = exp((double)x - from.at), error = fabs((double)out[0] - exact) / ulp_of(exact);
            int far = i < -30000;
            if (error > worst[far]) worst[far] = error;
            if (error > (far ? 6 : 3))
                return printf("from %.9g, exp(%.9g) is %.9g and not %.9g\n", (double)refs[r], (double)x, (double)out[0], exact), 0;
        }
        const float below[] = {nextafterf(least[0], -INFINITY), refs[r] - 1e4f, -1e30f, -3.4028235e38f, -INFINITY};
        for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
            v_store(out, v_exp_from(v_all(below[i]), from));
            if (out[0] != 0) return printf("from %.9g, exp(%.9g) is not 0\n", (double)refs[r], (double)below[i]), 0;
        }
        v_store(out, v_exp_from(v_all((float)NAN), from));
        if (out[0] == out[0]) return printf("NaN is lost\n"), 0;
    }
    printf("from a reference: %.3f ulp at most, %.3f below e^-30\n", worst[0], worst[1]);
    return 1;
}

// v_log1p of all of 0..1, and v_inverse of numbers whose inverse is normal, by vectors of neighbours.
static int judge_others(uint32_t step)
{
    double worst[2] = {0, 0};
    for (uint32_t word = 0; word < 0x7e800000; word += step) {
        float in[V_LANES], out[V_LANES];
        for (uint32_t i = 0; i < V_LANES; i++) in[i] = from_word(word + i);
        const int first = in[V_LANES - 1] <= 1 ? 0 : 1, last = in[0] >= 0x1p-126f ? 1 : 0;
        for (int which = first; which <= last; which++) {
            v_store(out, which ? v_inverse(v_load(in)) : v_log1p(v_load(in)));
            for (uint32_t i = 0; i < V_LANES; i++) {
                double exact = which ? 1 / (double)in[i] : log1p((double)in[i]);
                double error = fabs((double)out[i] - exact) / ulp_of(exact > 0x1p-126 ? exact : 0x1p-126);
                if (error > worst[which]) worst[which] = error;
                if (error <= 2) continue;
                printf("%s of %.9g is %.9g and not %.9g\n", which ? "inverse" : "log1p", (double)in[i], (double)out[i], exact);
                return 0;
            }
        }
    }
    printf("log1p: %.3f ulp at most, inverse: %.3f ulp\n", worst[0], worst[1]);
    return 1;
}

int main(int argc, char **argv)
{
    const uint32_t step = argc > 1 && strcmp(argv[1], "--all") == 0 ? 1 : 1021;
    vec_exp k = v_exp_of(1);
    double worst = 0;
    uint64_t count = 0;
    float in[V_LANES], out[V_LANES];
    uint32_t used = 0;
#if V_LANES == 16 || V_LANES == 8
    if (!__builtin_cpu_supports(V_LANES == 16 ? "avx512dq" : "avx2")) return 77;
#endif
    for (uint64_t word = 0; word < (uint64_t)1 << 32; word += step) {
        float x = from_word((uint32_t)word);
        if (x > 88.7f) continue;             // past f32's range anything may come
        in[used++] = x;
        if (used < V_LANES && word + step < (uint64_t)1 << 32) continue;
        for (uint32_t i = used; i < V_LANES; i++) in[i] = 0;
        v_store(out, v_exp(v_load(in), k));
        for (uint32_t i = 0; i < used; i++)
            if (!judge(in[i], out[i], &worst)) {
                printf("exp(%.9g) is %.9g and not %.9g\n", (double)in[i], (double)out[i], exp((double)in[i]));
                return 1;
            }
        count += used;
        used = 0;
    }
    if (!judge_others(step) || !judge_from()) return 1;
    v_store(out, v_exp(v_all(0), k));
    if (out[0] != 1) return printf("exp(0) is %.9g\n", (double)out[0]), 1;
    if (fabs(reference(-3.25) - exp(-3.25)) > 1e-16 || fabs(reference(80.1) / exp(80.1) - 1) > 1e-15)
        return printf("the reference is wrong\n"), 1;
    if (!judge_factor(0.37f) || !judge_factor(50.0f)) return printf("a factor makes it wrong\n"), 1;
    printf("%llu values, %d lanes: %.3f ulp at most\n", (unsigned long long)count, V_LANES, worst);
    return 0;
}
