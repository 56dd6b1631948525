// rank.c - trains scorers of documents on real queries, with loss, gradient and NDCG from wane, on every device found.
//
//     rank [--device D] [--steps N] [--data FOLDER]
//
// The same two scorers, a linear one and one with a hidden layer, learn from logistic pairs (RankNet) and from the same
// pairs with lambda weights (LambdaRank). Groups of documents are told by offsets, one for each query, so one call does
// all queries at once. What to look at: `prepare` makes a problem ready once, `wane_run` computes it each step.
#include "rank_data.h"

#include <wane/wane.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPERANDS = 6, MODELS = 2, LOSSES = 2, CUTS = 3 };
static const int cuts[CUTS] = {1, 5, 10};
static const char *const model_names[MODELS] = {"linear", "hidden layer"}, *const loss_names[LOSSES] = {"logistic", "lambda"};
// Devices may be off by 1e-6 of the largest gradient each; training makes more of it.
static const double GRADIENT_AGREES = 1e-5, NDCG_AGREES = 0.03, LEAST_GAIN = 0.03;

// One problem, ready to run on one device. Its operands are arrays of this program.
typedef struct problem {
    wane_executable *executable;
    wane_recorder *recorder;
    wane_operand operands[MOST_OPERANDS];
    wane_binding bindings[MOST_OPERANDS];
    uint32_t count;
} problem;

typedef struct result {
    float *first_grad;                     // of the first step of the first scorer
    double ndcg[MODELS][LOSSES][2][CUTS];  // before and after
} result;

static void print_log(void *user, const wane_log_record *record)
{
    (void)user;
    if (record->level <= WANE_LOG_WARNING)
        fprintf(stderr, "wane: %s%s%s\n", record->operand ? record->operand : "", record->operand ? ": " : "", record->text);
}

static void add(problem *p, wane_role role, wane_dtype dtype, int64_t count, void *host)
{
    p->operands[p->count] = (wane_operand){.struct_size = sizeof *p->operands, .role = role,
        .tensor = {.struct_size = sizeof p->operands->tensor, .dtype = dtype, .rank = 1, .extents = {count}}};
    p->bindings[p->count++] = (wane_binding){.struct_size = sizeof *p->bindings, .role = role, .host = host,
                                             .bytes = (uint64_t)count * 4};
}

// Plan, executable, recorder; false after a message of the log.
static bool prepare(problem *p, wane_device *device, const wane_param_value *params, uint32_t param_count)
{
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = WANE_LOSS_PAIRWISE_RANK, .operands = p->operands,
                           .operand_count = p->count, .params = params, .param_count = param_count};
    wane_plan *plan = NULL;
    bool good = wane_plan_create(device, &desc, &plan) == WANE_OK && wane_executable_create(plan, &p->executable) == WANE_OK
             && wane_recorder_create(&p->executable, 1, 0, &p->recorder) == WANE_OK;
    wane_plan_destroy(plan);
    return good;
}

static bool run(problem *p)
{
    wane_args args = {.struct_size = sizeof args, .bindings = p->bindings, .binding_count = p->count};
    return wane_run(p->executable, p->recorder, &args) == WANE_OK;
}

static void drop(problem *p)
{
    wane_recorder_destroy(p->recorder);
    wane_executable_destroy(p->executable);
}

// Mean NDCG at each cut over the queries that have a relevant document.
static bool measure(wane_device *device, const rank_data *test, float *scores, double ndcg[CUTS])
{
    float *each = calloc((size_t)test->queries, sizeof *each);
    bool good = each != NULL;
    for (int c = 0; c < CUTS && good; c++) {
        problem p = {0};
        add(&p, WANE_ROLE_SCORES, WANE_DTYPE_F32, test->count, scores);
        add(&p, WANE_ROLE_LABELS, WANE_DTYPE_F32, test->count, test->labels);
        add(&p, WANE_ROLE_OFFSETS, WANE_DTYPE_I32, test->queries + 1, test->offsets);
        add(&p, WANE_ROLE_NDCG, WANE_DTYPE_F32, test->queries, each);
        wane_param_value k = {.param = WANE_PARAM_K, .value = cuts[c]};
        good = prepare(&p, device, &k, 1) && run(&p);
        drop(&p);
        double sum = 0;
        int counted = 0;
        for (int q = 0; q < test->queries; q++) {
            bool relevant = false;
            for (int32_t i = test->offsets[q]; i < test->offsets[q + 1]; i++) relevant = relevant || test->labels[i] > 0;
            sum += relevant ? (double)each[q] : 0;
            counted += relevant;
        }
        ndcg[c] = counted ? sum / counted : 0;
    }
    free(each);
    return good;
}

// Trains one scorer with one loss. layer, scores and grad are as long as the longer of the two sets needs.
static bool train(wane_device *device, const rank_data sets[2], int model_at, int loss_at, int steps, float *buffers[3], result *r)
{
    static rank_model model;
    float *layer = buffers[0], *scores = buffers[1], *grad = buffers[2], loss;
    const rank_data *data = &sets[0];
    problem p = {0};
    add(&p, WANE_ROLE_SCORES, WANE_DTYPE_F32, data->count, scores);
    add(&p, WANE_ROLE_LABELS, WANE_DTYPE_F32, data->count, data->labels);
    add(&p, WANE_ROLE_OFFSETS, WANE_DTYPE_I32, data->queries + 1, data->offsets);
    add(&p, WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, &loss);
    add(&p, WANE_ROLE_GRAD_SCORES, WANE_DTYPE_F32, data->count, grad);
    wane_param_value params[] = {
        {.param = WANE_PARAM_REDUCTION, .value = loss_at ? WANE_REDUCTION_SUM : WANE_REDUCTION_MEAN},
        {.param = WANE_PARAM_PAIR_WEIGHT, .value = loss_at ? WANE_PAIR_WEIGHT_LAMBDA : WANE_PAIR_WEIGHT_NONE}};
    rank_model_start(&model, model_at == 1);
    rank_model_score(&model, &sets[1], layer, scores);
    bool good = measure(device, &sets[1], scores, r->ndcg[model_at][loss_at][0]) && prepare(&p, device, params, 2);
    for (int step = 0; step < steps && good; step++) {
        rank_model_score(&model, data, layer, scores);
        good = run(&p);
        if (step == 0 && !model_at && !loss_at) memcpy(r->first_grad, grad, (size_t)data->count * sizeof *grad);
        rank_model_step(&model, data, layer, grad);
    }
    drop(&p);
    rank_model_score(&model, &sets[1], layer, scores);
    return good && measure(device, &sets[1], scores, r->ndcg[model_at][loss_at][1]);
}

// Both scorers with both losses on one device, a line each.
static bool run_device(wane_device *device, const rank_data sets[2], int steps, float *buffers[3], result *r)
{
    for (int m = 0; m < MODELS; m++)
        for (int l = 0; l < LOSSES; l++) {
            if (!train(device, sets, m, l, steps, buffers, r)) return false;
            const double *before = r->ndcg[m][l][0], *after = r->ndcg[m][l][1];
            printf("  %-12s  %-8s  %.4f  %.4f  %.4f    %.4f  %.4f  %.4f\n", model_names[m], loss_names[l], before[0],
                   before[1], before[2], after[0], after[1], after[2]);
            fflush(stdout);
            if (after[2] < before[2] + LEAST_GAIN) {
                printf("  NDCG@10 has not risen by %.2f\n", LEAST_GAIN);
                return false;
            }
        }
    return true;
}

static bool agree(const result *a, const result *b, int count)
{
    double largest = 0, apart = 0, ndcg = 0;
    for (int i = 0; i < count; i++) {
        largest = fmax(largest, fabs((double)a->first_grad[i]));
        apart = fmax(apart, fabs((double)a->first_grad[i] - (double)b->first_grad[i]));
    }
    for (int m = 0; m < MODELS; m++)
        for (int l = 0; l < LOSSES; l++) ndcg = fmax(ndcg, fabs(a->ndcg[m][l][1][2] - b->ndcg[m][l][1][2]));
    printf("  against the first device: first gradient %.1e of its largest entry, NDCG@10 after training %.4f\n",
           apart / largest, ndcg);
    return apart <= GRADIENT_AGREES * largest && ndcg <= NDCG_AGREES;
}

static bool run_all(wane_context *context, const char *name, const rank_data sets[2], int steps, float *buffers[3], result results[2])
{
    int done = 0;
    bool good = true;
    for (uint32_t i = 0; good && i < (name ? 1 : wane_device_count(context)); i++) {
        wane_device *device = NULL;
        wane_device_info info = {.struct_size = sizeof info};
        if (name) good = wane_device_find(context, name, &device) == WANE_OK;
        else device = wane_device_at(context, i);
        if (!good || wane_device_selftest(device) != WANE_OK || wane_device_get_info(device, &info) != WANE_OK) continue;
        printf("%s: %s\n  scorer        pairs     NDCG@1  NDCG@5  NDCG@10 before, after %d steps\n", info.id, info.name, steps);
        good = run_device(device, sets, steps, buffers, &results[done > 0]);
        if (good && done) good = agree(&results[0], &results[1], sets[0].count);
        done++;
    }
    return good && done > 0;
}

int main(int argc, char **argv)
{
    const char *device = NULL, *folder = WANE_RANK_DATA;
    int steps = 60;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--device") == 0) device = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--data") == 0) folder = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--steps") == 0 && atoi(argv[i + 1]) > 0) steps = atoi(argv[i + 1]);
        else {
            fprintf(stderr, "usage: rank [--device D] [--steps N] [--data FOLDER]\n");
            return 2;
        }
    }
    char paths[2][512];
    rank_data sets[2] = {{0}, {0}};
    snprintf(paths[0], sizeof paths[0], "%s/rank.train", folder);
    snprintf(paths[1], sizeof paths[1], "%s/rank.test", folder);
    bool good = rank_data_read(&sets[0], paths[0]) && rank_data_read(&sets[1], paths[1]);
    size_t most = (size_t)(sets[0].count > sets[1].count ? sets[0].count : sets[1].count) + 1;
    float *buffers[3] = {calloc(most * RANK_HIDDEN, sizeof(float)), calloc(most, sizeof(float)), calloc(most, sizeof(float))};
    result results[2] = {{.first_grad = calloc(most, sizeof(float))}, {.first_grad = calloc(most, sizeof(float))}};
    good = good && buffers[0] && buffers[1] && buffers[2] && results[0].first_grad && results[1].first_grad;
    wane_context_desc desc = {.struct_size = sizeof desc, .log = print_log};
    wane_context *context = NULL;
    good = good && wane_context_create(&desc, &context) == WANE_OK && run_all(context, device, sets, steps, buffers, results);
    wane_context_destroy(context);
    for (int i = 0; i < 3; i++) free(buffers[i]);
    for (int i = 0; i < 2; i++) free(results[i].first_grad), rank_data_free(&sets[i]);
    return good ? 0 : 1;
}
