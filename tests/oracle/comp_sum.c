// comp_sum.c - the comp-sum losses: weight[y] Phi(n) with n = -log p_y.
//
// Mao, Mohri, Zhong, Cross-Entropy Loss Functions: Theoretical Analysis and Applications, arXiv 2304.07288, section 2:
// Phi_tau(u) = ((1 + u)^(1 - tau) - 1) / (1 - tau), log(1 + u) at tau = 1, of u = sum over j != y of exp(x_j - x_y).
// As 1 + u = exp(n), Phi = expm1((1 - tau) n) / (1 - tau), and dPhi/dn = exp((1 - tau) n).
#include <float.h>
#include <math.h>

#include "registry.h"
#include "softmax.h"

typedef struct phi {
    double value, slope;
    double by_power;   // d value / d (1 - tau)
} phi;

// Beyond f32 the value is +inf and the slope stays at FLT_MAX. At n = inf these are the limits.
static phi evaluate(double power, double n) {
    phi made = {.value = n, .slope = 1};
    if (power != 0) {
        made.value = expm1(power * n) / power;
        made.slope = fmin(exp(power * n), (double)FLT_MAX);
    }
    if (made.value > (double)FLT_MAX) {
        made.value = INFINITY;
    } else if (isfinite(n)) {
        // The derivative's own closed form cancels near power 0; there it is n^2 / 2.
        bool small = fabs(power) * n < 1e-4;
        made.by_power = small ? n * n / 2 : (n * made.slope - made.value) / power;
    }
    return made;
}

static softmax_term link(const double *param, const softmax_row *row) {
    double tau = param[ORACLE_PARAM_TAU];
    double power = 1 - tau;
    double lost = softmax_stored_error(tau);
    double n = isfinite(row->nll) ? row->nll : 0;   // only in the scales: an infinite n carries no error
    phi made = evaluate(power, row->nll);
    double value_scale = 2 * made.value + made.slope * row->nll_scale + fabs(made.by_power) * lost;
    double slope_scale = made.slope * (2 + fabs(power) * (row->nll_scale + n) + n * lost);
    return (softmax_term){
        .value = softmax_times(row->weight, made.value),
        .value_scale = softmax_times(fabs(row->weight), value_scale),
        .by_nll = row->weight * made.slope,
        .by_nll_scale = fabs(row->weight) * (power == 0 ? 1 : slope_scale),
    };
}

const char *oracle_comp_sum(oracle_problem *problem) {
    return softmax_solve(problem, link);
}
