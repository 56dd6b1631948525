// digits.c - trains a small network on handwritten digits, with loss and gradient from wane, on every device found.
//
//     digits [--device D] [--epochs N] [--data FILE] [--svg FILE]
//
// What to look at: `prepare` makes a problem ready once (plan, executable, recorder), `wane_run` computes it each step,
// with the program's own arrays. The network is plain C (digits_net.c) and runs on the host, so that what differs from
// device to device is the loss alone.
#include "digits_net.h"
#include "digits_plot.h"

#include <wane/wane.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_EPOCHS = 1000, MOST_OPERANDS = 4 };

static const float LEARNING_RATE = 0.015f;
static const double LEAST_ACCURACY = 0.97;
// Each device may be off by 5e-6 of the largest entry of a gradient; two of them by twice that from each other.
static const double GRADIENT_AGREES = 1e-5;
static const double ACCURACY_AGREES = 0.01;

// One problem, ready to run on one device. Its operands are arrays of this program.
typedef struct problem {
    wane_executable *executable;
    wane_recorder *recorder;
    wane_binding bindings[MOST_OPERANDS];
    uint32_t count;
} problem;

// What training on one device gave.
typedef struct result {
    const char *id;
    float curve[MOST_EPOCHS];              // mean training loss of each epoch
    float first_grad[NET_BATCH * NET_CLASSES];
    float train_loss, test_loss, test_accuracy;
    double step_seconds, loss_seconds;     // medians
    net network;
} result;

typedef struct options {
    const char *device, *data, *svg;
    int epochs;
} options;

// Everything that training touches: too large for the stack.
typedef struct workspace {
    float pixels[NET_BATCH * NET_INPUTS], hidden[NET_TEST_ROWS * NET_HIDDEN];
    float logits[NET_TEST_ROWS * NET_CLASSES], grad[NET_BATCH * NET_CLASSES];
    int32_t labels[NET_BATCH];
    float loss;
} workspace;

static void print_log(void *user, const wane_log_record *record)
{
    (void)user;
    if (record->operand) fprintf(stderr, "wane: %s: %s\n", record->operand, record->text);
    else fprintf(stderr, "wane: %s\n", record->text);
}

// Adds an operand: an array of ours, of `rows` or rows x cols elements.
static void add(problem *p, wane_operand *operands, wane_role role, wane_dtype dtype, int64_t rows, int64_t cols, void *host)
{
    operands[p->count] = (wane_operand){
        .struct_size = sizeof(wane_operand),
        .role = role,
        .tensor = {.struct_size = sizeof(wane_tensor), .dtype = dtype, .rank = cols ? 2 : 1, .extents = {rows, cols}},
    };
    p->bindings[p->count++] = (wane_binding){
        .struct_size = sizeof(wane_binding),
        .role = role,
        .host = host,
        .bytes = (uint64_t)(cols ? rows * cols : rows) * wane_dtype_bytes(dtype),
    };
}

// Plans cross-entropy for these operands, builds its kernels, and makes a recorder that serves every later run.
static wane_status prepare(problem *p, wane_device *device, const wane_operand *operands)
{
    wane_loss_desc desc = {
        .struct_size = sizeof desc,
        .loss = WANE_LOSS_CROSS_ENTROPY,
        .operands = operands,
        .operand_count = p->count,
    };
    wane_plan *plan = NULL;
    wane_status status = wane_plan_create(device, &desc, &plan);
    if (status == WANE_OK) status = wane_executable_create(plan, &p->executable);
    if (status == WANE_OK) status = wane_recorder_create(&p->executable, 1, 0, &p->recorder);
    wane_plan_destroy(plan);
    return status;
}

static wane_status compute(problem *p)
{
    wane_args args = {.struct_size = sizeof args, .bindings = p->bindings, .binding_count = p->count};
    return wane_run(p->executable, p->recorder, &args);
}

static void discard(problem *p)
{
    wane_recorder_destroy(p->recorder);
    wane_executable_destroy(p->executable);
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_double);
    return values[count / 2];
}

// The training loop. seconds has room for two times of each step.
static wane_status train(result *r, problem *p, const digits_data *data, int epochs, workspace *w, int *order, double *seconds)
{
    int per_epoch = data->train_rows / NET_BATCH, steps = per_epoch * epochs, step = 0;
    double start = seconds_now();
    for (int i = 0; i < data->train_rows; i++) order[i] = i;
    net_init(&r->network, 1);
    for (int epoch = 0; epoch < epochs; epoch++) {
        double sum = 0.0;
        net_shuffle(&r->network, order, data->train_rows);
        for (int batch = 0; batch < per_epoch; batch++, step++) {
            double begin = seconds_now();
            net_batch(&r->network, data, order + batch * NET_BATCH, w->pixels, w->labels);
            net_forward(&r->network, w->pixels, NET_BATCH, w->hidden, w->logits);

            double before = seconds_now();
            wane_status status = compute(p);
            seconds[steps + step] = seconds_now() - before;
            if (status != WANE_OK) return status;

            if (step == 0) memcpy(r->first_grad, w->grad, sizeof r->first_grad);
            net_backward(&r->network, w->pixels, NET_BATCH, w->hidden, w->grad);
            net_step(&r->network, LEARNING_RATE * 0.5f * (1.0f + cosf(3.14159265f * (float)step / (float)steps)));
            seconds[step] = seconds_now() - begin;
            sum += (double)w->loss;
        }
        r->curve[epoch] = (float)(sum / per_epoch);
        progress_show(epoch + 1, epochs, r->curve[epoch], seconds_now() - start);
    }
    r->train_loss = r->curve[epochs - 1];
    r->step_seconds = median(seconds, steps);
    r->loss_seconds = median(seconds + steps, steps);
    return WANE_OK;
}

static wane_status train_prepared(result *r, wane_device *device, const digits_data *data, int epochs, workspace *w)
{
    int steps = data->train_rows / NET_BATCH * epochs;
    int *order = malloc((size_t)data->train_rows * sizeof *order);
    double *seconds = malloc((size_t)steps * 2 * sizeof *seconds);
    problem p = {.count = 0};
    wane_operand operands[MOST_OPERANDS];
    add(&p, operands, WANE_ROLE_LOGITS, WANE_DTYPE_F32, NET_BATCH, NET_CLASSES, w->logits);
    add(&p, operands, WANE_ROLE_TARGET, WANE_DTYPE_I32, NET_BATCH, 0, w->labels);
    add(&p, operands, WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, 0, &w->loss);
    add(&p, operands, WANE_ROLE_GRAD_LOGITS, WANE_DTYPE_F32, NET_BATCH, NET_CLASSES, w->grad);
    wane_status status = order && seconds ? prepare(&p, device, operands) : WANE_ERROR_HOST_MEMORY;
    if (status == WANE_OK) status = train(r, &p, data, epochs, w, order, seconds);
    discard(&p);
    free(seconds);
    free(order);
    return status;
}

// Loss and accuracy on rows that training has not seen: a problem without a gradient.
static wane_status test(result *r, wane_device *device, const digits_data *data, workspace *w)
{
    const float *pixels = data->pixels + (size_t)data->train_rows * NET_INPUTS;
    int rows = data->test_rows;
    problem p = {.count = 0};
    wane_operand operands[MOST_OPERANDS];
    add(&p, operands, WANE_ROLE_LOGITS, WANE_DTYPE_F32, rows, NET_CLASSES, w->logits);
    add(&p, operands, WANE_ROLE_TARGET, WANE_DTYPE_I32, rows, 0, data->labels + data->train_rows);
    add(&p, operands, WANE_ROLE_LOSS, WANE_DTYPE_F32, 1, 0, &r->test_loss);
    add(&p, operands, WANE_ROLE_ACCURACY, WANE_DTYPE_F32, 1, 0, &r->test_accuracy);
    wane_status status = prepare(&p, device, operands);
    if (status == WANE_OK) {
        net_forward(&r->network, pixels, rows, w->hidden, w->logits);
        status = compute(&p);
    }
    discard(&p);
    return status;
}

static double largest_difference(const float *a, const float *b, int count)
{
    double most = 0.0;
    for (int i = 0; i < count; i++) most = fmax(most, fabs((double)a[i] - (double)b[i]));
    return most;
}

static double largest(const float *a, int count)
{
    double most = 0.0;
    for (int i = 0; i < count; i++) most = fmax(most, fabs((double)a[i]));
    return most;
}

// The table, and the verdict: every device good enough, and near the CPU.
static bool report(result *const *results, int count)
{
    const result *base = NULL;
    for (int i = 0; i < count && !base; i++)
        if (strncmp(results[i]->id, "cpu", 3) == 0) base = results[i];
    if (count < 2) base = NULL;
    printf("%-12s %9s %10s %10s %10s %12s %11s %11s\n", "", "test", "test", "train", "step,", "loss and", "gradient",
           "weights");
    printf("%-12s %9s %10s %10s %10s %12s %11s %11s\n", "device", "accuracy", "loss", "loss", "median us", "gradient, us",
           "off by", "off by");
    bool good = true;
    double worst = 0.0;
    for (int i = 0; i < count; i++) {
        const result *r = results[i];
        printf("%-12s %7.2f %% %10.5f %10.5f %10.0f %12.0f", r->id, 100.0 * (double)r->test_accuracy, (double)r->test_loss,
               (double)r->train_loss, 1e6 * r->step_seconds, 1e6 * r->loss_seconds);
        if ((double)r->test_accuracy < LEAST_ACCURACY) good = false;
        if (base && r != base) {
            double off = largest_difference(r->first_grad, base->first_grad, NET_BATCH * NET_CLASSES)
                / largest(base->first_grad, NET_BATCH * NET_CLASSES);
            worst = fmax(worst, off);
            printf(" %11.1e %11.1e", off, largest_difference(r->network.param, base->network.param, NET_PARAMS));
            if (!(off <= GRADIENT_AGREES)) good = false;
            if (!(fabs((double)r->test_accuracy - (double)base->test_accuracy) <= ACCURACY_AGREES)) good = false;
        }
        printf("\n");
    }
    printf("\n");
    if (base) {
        printf("off by: the first step's gradient, as a part of its largest entry, and the weights after the last step;\n"
               "        each against %s. Rounding differs, and training lets it grow.\n", base->id);
        printf("%s: first gradients within %.1e (allowed %.0e), accuracies within %.0f %%, each %.0f %% or better.\n",
               good ? "The devices agree" : "THE DEVICES DO NOT AGREE, or have not learnt: wanted", worst, GRADIENT_AGREES,
               100.0 * ACCURACY_AGREES, 100.0 * LEAST_ACCURACY);
    } else {
        printf("%s: wanted %.0f %% or better. One device: nothing to compare with.\n",
               good ? "Learnt" : "NOT LEARNT", 100.0 * LEAST_ACCURACY);
    }
    return good;
}

static wane_status train_device(result *r, wane_device *device, const digits_data *data, int epochs, workspace *w)
{
    wane_status status = train_prepared(r, device, data, epochs, w);
    if (status == WANE_OK) status = test(r, device, data, w);
    return status;
}

// Trains on the devices in turn. *failed counts those that are usable and yet failed.
static int train_all(wane_device *const *devices, int count, const digits_data *data, const options *o, result **results,
                     int *failed)
{
    workspace *w = malloc(sizeof *w);
    int done = 0;
    for (int i = 0; i < count && w; i++) {
        wane_device_info info = {.struct_size = sizeof info};
        bool usable = wane_device_selftest(devices[i]) == WANE_OK;
        if (wane_device_get_info(devices[i], &info) != WANE_OK) continue;
        printf("%s: %s\n", info.id, info.name);
        fflush(stdout);
        if (!usable) {
            printf("  skipped: %s\n\n", info.reason);
            continue;
        }
        result *r = calloc(1, sizeof *r);
        wane_status status = r ? train_device(r, devices[i], data, o->epochs, w) : WANE_ERROR_HOST_MEMORY;
        if (status != WANE_OK) {
            printf("  failed: %s\n\n", wane_status_text(status));
            (*failed)++;
            free(r);
            continue;
        }
        printf("\n");
        r->id = info.id;
        results[done++] = r;
    }
    free(w);
    return done;
}

static bool draw(result *const *results, int count, const options *o)
{
    plot p = {.points = o->epochs};
    for (int i = 0; i < count && i < PLOT_CURVES; i++) {
        p.names[p.curves] = results[i]->id;
        p.values[p.curves++] = results[i]->curve;
    }
    plot_print(&p);
    if (plot_write_svg(&p, o->svg)) {
        printf("The curves are drawn in %s.\n\n", o->svg);
        return true;
    }
    fprintf(stderr, "digits: %s: %s; name another file with --svg\n", o->svg, strerror(errno));
    return false;
}

static int run(wane_context *context, const options *o, const digits_data *data)
{
    wane_device *one = NULL;
    int count = 1;
    if (o->device) {
        // the log has said why, and what names there are
        if (wane_device_find(context, o->device, &one) != WANE_OK) return 1;
    } else {
        count = (int)wane_device_count(context);
    }
    wane_device **devices = calloc((size_t)count, sizeof *devices);
    result **results = calloc((size_t)count, sizeof *results);
    bool good = false;
    if (devices && results) {
        for (int i = 0; i < count; i++) devices[i] = one ? one : wane_device_at(context, (uint32_t)i);
        int failed = 0, done = train_all(devices, count, data, o, results, &failed);
        if (done > 0) {
            good = draw(results, done, o);
            good = report(results, done) && good && failed == 0;
        }
        for (int i = 0; i < done; i++) free(results[i]);
    }
    free(results);
    free(devices);
    return good ? 0 : 1;
}

static const char help[] =
    "digits - trains a 64-128-10 network on handwritten digits with loss and gradient from wane\n\n"
    "  --device D    one device (cpu, vulkan, vulkan:0, opencl:1, ...) instead of all\n"
    "  --epochs N    passes over the training rows, 1 to 1000 (40)\n"
    "  --data FILE   rows of 64 grey levels and a class (" WANE_DIGITS_CSV ")\n"
    "  --svg FILE    where to draw the loss curves (digits.svg)\n\n"
    "Exit code: 0 if every device learns and all agree, 1 if not, 2 for a wrong command line or file.\n";

static bool parse(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (!value) {
            fprintf(stderr, "digits: %s: no such option, or it needs a value; see --help\n", name);
            return false;
        }
        if (strcmp(name, "--device") == 0) o->device = value;
        else if (strcmp(name, "--data") == 0) o->data = value;
        else if (strcmp(name, "--svg") == 0) o->svg = value;
        else if (strcmp(name, "--epochs") == 0) {
            char *end;
            long epochs = strtol(value, &end, 10);
            if (end == value || *end || epochs < 1 || epochs > MOST_EPOCHS) {
                fprintf(stderr, "digits: --epochs: %s is no number from 1 to %d\n", value, MOST_EPOCHS);
                return false;
            }
            o->epochs = (int)epochs;
        } else {
            fprintf(stderr, "digits: %s: no such option; see --help\n", name);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    options o = {.data = WANE_DIGITS_CSV, .svg = "digits.svg", .epochs = 40};
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    if (!parse(&o, argc, argv)) return 2;
    digits_data data;
    const char *wrong = digits_load(&data, o.data);
    if (wrong) {
        fprintf(stderr, "digits: %s: %s; name a copy of tests/data/digits.csv with --data\n", o.data, wrong);
        digits_free(&data);
        return 2;
    }
    printf("wane %s: a 64-128-10 network, %d epochs over %d handwritten digits, tested on %d others\n\n", wane_version(),
           o.epochs, data.train_rows, data.test_rows);
    wane_context *context = NULL;
    wane_context_desc desc = {.struct_size = sizeof desc, .log = print_log};
    wane_status status = wane_context_create(&desc, &context);
    int code = 1;
    if (status == WANE_OK) code = run(context, &o, &data);
    else fprintf(stderr, "digits: %s\n", wane_status_text(status));
    wane_context_destroy(context);
    digits_free(&data);
    return code;
}
