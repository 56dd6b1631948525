// hl_gauss.c - regression as classification: sum t_j (lse - x_j), t_j the mass of N(target, sigma^2) in bin j over its
// mass in all bins.
//
// Farebrother et al., Stop Regressing: Training Value Functions via Classification for Scalable Deep RL, arXiv 2403.03950.
// Bins are of equal width from vmin to vmax. A target outside is taken at the nearer end. sigma 0 is 0.75 of a bin's
// width. A mass below 1e-30 is 0, so that it asks nothing of a column that is left out.
#include <math.h>
#include <stdlib.h>

#include "registry.h"
#include "whole.h"

// erf(high) - erf(low), in units of sqrt(2) sigma.
static long double mass(long double low, long double high) {
    if (low > 0) {
        return erfcl(low) - erfcl(high);
    }
    return high < 0 ? erfcl(-high) - erfcl(-low) : erfl(high) - erfl(low);
}

static bool link(const whole_row *row, whole_result *result) {
    const double *param = row->problem->param;
    double y = row->problem->in[ORACLE_ROLE_TARGET].data[row->row];
    if (isnan(y)) {
        return false;
    }
    if (row->x->top < 0) {
        return true;
    }
    double first = param[ORACLE_PARAM_VMIN], last = param[ORACLE_PARAM_VMAX], sigma = param[ORACLE_PARAM_SIGMA];
    double width = (last - first) / (double)row->cols;
    sigma = sigma == 0 ? 0.75 * width : sigma;
    y = fmin(fmax(y, first), last);
    long double each = (long double)width / (sqrtl(2) * (long double)sigma), aim = ((long double)y - first) / (long double)width;
    aim = aim > (long double)row->cols ? (long double)row->cols : aim;
    long double total = mass(-aim * each, ((long double)row->cols - aim) * each);
    // the ends are rounded to f32, and with them where the target lies between them
    double aim_error = 4 * (double)aim + 2 * (fabs(first) + fabs(last)) / width;
    double h = (double)each, share_error = 20 + 3 * h * aim_error / (double)total;
    double *a = calloc(2 * (size_t)row->cols, sizeof a[0]), *a_error = a + row->cols;
    if (a == NULL) {
        return false;
    }
    for (int64_t j = 0; j < row->cols; j++) {
        long double low = ((long double)j - aim) * each, high = ((long double)(j + 1) - aim) * each;
        double near = (double)(low > 0 ? low : high < 0 ? -high : 0);
        double edge_error = h * (aim_error + fabs((double)j + 0.5 - (double)aim)) + 4 * near + 2 * h;
        a[j] = (double)(mass(low, high) / total);
        a[j] = a[j] < 1e-30 ? 0 : a[j];
        a_error[j] = share_error + 40 + (2 * near + 2) * edge_error + 4 * near * near;
    }
    whole_spread(row, a, a_error, result);
    free(a);
    return true;
}

const char *oracle_hl_gauss(oracle_problem *problem) {
    if (!(problem->param[ORACLE_PARAM_VMAX] > problem->param[ORACLE_PARAM_VMIN])) {
        return "vmax must be above vmin";
    }
    return whole_solve(problem, link);
}
