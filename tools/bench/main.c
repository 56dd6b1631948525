// wane-bench - how fast a loss is on a device, beside what memory can do in the same moments, and how right.
#include "bench.h"
#include "common/array.h"
#include "common/loss.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
    "usage: wane-bench [--device D] [--op LOSS] [--shape rows=R,cols=C]... [--dtype T]\n"
    "                  [--param NAME=VALUE]... [--threads N] [--seconds S] [--cache hot|cold|both] [--json FILE]\n"
    "                  [--quick]\n"
    "\n"
    "Times forward, backward from saved statistics, both fused, and fused in place. Each round runs them and the\n"
    "references in rotated order: reading and copying as many bytes on the CPU, plainly and past the caches;\n"
    "multiply-adds and exponentials in registers. Ratios are taken within a round, because a machine's speed drifts.\n"
    "GB/s count the bytes that have to move: each input read once, each output written once.\n"
    "\n"
    "  --device D       auto, cpu, cpu:avx2, vulkan, vulkan:0, opencl, opencl:0 ... (default: auto)\n"
    "  --op LOSS        a loss of a row of logits; wane-eval --list names them (default: cross_entropy)\n"
    "  --shape S        rows=4096,cols=32768; may be given many times (default: three shapes, 512 MiB in f32)\n"
    "  --dtype T        type of logits and gradient: f32, f16, bf16\n"
    "  --param N=V      a parameter, as for wane-eval\n"
    "  --threads N      of the CPU, for the loss and the references (default: as many as this process may use)\n"
    "  --seconds S      time for each line of the table at the least, besides 20 rounds (default: 1)\n"
    "  --cache C        hot: caches as the call before left them; cold: flushed before each call; both (default: hot,\n"
    "                   and cold too for what is smaller than four times the last cache)\n"
    "  --json FILE      all figures as an object; - is standard output, instead of the table\n"
    "  --quick          a small shape and three rounds: does it run at all\n"
    "  --help           this text\n"
    "  --version        the version of the library\n"
    "\n"
    "of read, of copy, of nt: GB/s over those of reading, copying, and copying past the caches. of roof: the least time\n"
    "that the references allow - the longest of the bytes at the speed of reading (or of the better copy, if a gradient\n"
    "is written), the multiply-adds, and one exponential a logit - over the time taken. extra: the plan's workspace and\n"
    "the host memory that the library took, and that by rows. On a GPU the loss works in buffers of the device, times\n"
    "are wall-clock with submission and waiting, and the references are still the CPU's.\n"
    "error: of the fused call, over four of the rows, against formulas in double precision: of a row's loss, relative\n"
    "to 1 or itself, and of a gradient, relative to the row's largest entry.\n"
    "Exit code: 0; 1 on failure, 2 for wrong usage, 3 if there is no such device.\n";

typedef struct shape {
    int64_t rows, cols;
} shape;

enum { SHAPES_MOST = 64 };

typedef struct shapes {
    uint32_t count;
    shape list[SHAPES_MOST];
} shapes;

// "rows=4096,cols=32768" in any order.
static bool read_shape(const char *text, shape *out)
{
    *out = (shape){0, 0};
    const char *at = text;
    while (*at) {
        int64_t *value = strncmp(at, "rows=", 5) == 0 ? &out->rows : strncmp(at, "cols=", 5) == 0 ? &out->cols : NULL;
        char *end = NULL;
        if (!value) break;
        errno = 0;
        *value = strtoll(at + 5, &end, 10);
        if (errno || end == at + 5 || *value < 1 || *value > INT32_MAX) break;
        at = end + (*end == ',' && end[1]);
        if (at == end && *end) break;
    }
    if (!*at && out->rows && out->cols) return true;
    tool_error("--shape %s: write rows=4096,cols=32768, both from 1 to 2147483647", text);
    return false;
}

static bool read_number(const char *option, const char *text, double low, double high, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    if (end != text && !*end && *out >= low && *out <= high) return true;
    tool_error("--%s %s: a number from %g to %g is expected", option, text, low, high);
    return false;
}

static bool read_dtype(const char *text, bench_options *options)
{
    int dtype = tool_dtype_by_name(text);
    options->dtype = (wane_dtype)dtype;
    if (dtype == WANE_DTYPE_F32 || dtype == WANE_DTYPE_F16 || dtype == WANE_DTYPE_BF16) return true;
    tool_error("--dtype %s: f32, f16 or bf16 is expected", text);
    return false;
}

static bool read_op(const char *text, bench_options *options)
{
    options->loss = tool_loss(text);
    if (!options->loss) return false;
    if (strcmp(options->loss->family, "softmax") == 0) return true;
    tool_error("--op %s: only losses of the softmax family are timed yet", text);
    return false;
}

static bool read_cache(const char *text, bench_options *options)
{
    bool both = strcmp(text, "both") == 0;
    options->hot = both || strcmp(text, "hot") == 0;
    options->cold = both || strcmp(text, "cold") == 0;
    if (options->hot || options->cold) return true;
    tool_error("--cache %s: hot, cold or both is expected", text);
    return false;
}

// Parameters wait until the loss is known.
static bool read_params(bench_options *options, char *const *texts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!tool_param(options->loss, texts[i], &options->params[options->param_count++])) return false;
    return true;
}

static int run_state(bench_work *work, bench_team *team, const bench_options *options, bool cold, cJSON *results)
{
    bench_result result;
    int code = bench_measure(work, team, options, cold, &result);
    if (!code) code = bench_accuracy(work, options, &result);
    if (!code && results) cJSON_AddItemToArray(results, bench_json(work, options, &result));
    if (!code && !(options->json && strcmp(options->json, "-") == 0)) {
        bench_print(work, options, &result);
        fflush(stdout);
    }
    bench_result_free(&result);
    return code;
}

static int run_shape(tool_session *session, bench_memory *memory, wane_device *device, bench_team *team,
                     const bench_options *options, shape s, cJSON *results)
{
    bench_work work;
    bench_progress("%lld x %lld: data and plans", (long long)s.rows, (long long)s.cols);
    int code = bench_work_make(&work, session, memory, device, options, s.rows, s.cols);
    bench_progress(NULL);
    bool small = 2 * (uint64_t)s.rows * work.row_bytes < 4 * (uint64_t)bench_cache_bytes();
    bool hot = options->hot || !options->cold, cold = options->cold || (!options->hot && small && !options->quick);
    if (!code && hot) code = run_state(&work, team, options, false, results);
    if (!code && cold) code = run_state(&work, team, options, true, results);
    bench_work_free(&work);
    return code;
}

static cJSON *new_report(const wane_device_info *info, uint32_t threads, cJSON **results)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "version", wane_version());
    cJSON_AddItemToObject(json, "device", tool_json_device(info));
    cJSON_AddNumberToObject(json, "threads", threads);
    *results = cJSON_AddArrayToObject(json, "results");
    return json;
}

// `file` is where the JSON goes, NULL if nobody asked for it.
static int run_all(tool_session *session, bench_memory *memory, wane_device *device, const bench_options *options,
                   const shapes *todo, FILE *file)
{
    wane_device_info info = tool_device_info(device);
    cJSON *results = NULL, *json = file ? new_report(&info, options->threads, &results) : NULL;
    if (file != stdout)
        printf("wane %s on %s: %s, %s; %u threads of the CPU\n", wane_version(), info.id, info.name, info.driver,
               options->threads);
    bench_team *team = bench_team_make(options->threads);
    int code = team ? TOOL_OK : TOOL_FAILED;
    for (uint32_t i = 0; i < todo->count && !code; i++)
        code = run_shape(session, memory, device, team, options, todo->list[i], results);
    bench_team_free(team);
    if (!code && json) return tool_json_print(json, file);
    cJSON_Delete(json);
    return code;
}

static int run(const bench_options *options, const shapes *todo)
{
    static bench_memory memory;
    wane_context_desc desc = {.struct_size = sizeof desc, .thread_count = options->threads,
                              .allocator = bench_allocator(&memory)};
    tool_session session;
    wane_device *device = NULL;
    bool standard = options->json && strcmp(options->json, "-") == 0;
    // opened before a minute of measuring, not after
    FILE *file = standard ? stdout : options->json ? fopen(options->json, "w") : NULL;
    if (options->json && !file) {
        tool_error("--json %s: %s", options->json, strerror(errno));
        return TOOL_FAILED;
    }
    int code = tool_open(&session, &desc);
    if (!code) {
        code = tool_device(&session, options->device, &device);
        if (!code) code = run_all(&session, &memory, device, options, todo, file);
        tool_close(&session);
    }
    if (file && !standard && fclose(file) != 0 && !code) {
        tool_error("--json %s: %s", options->json, strerror(errno));
        code = TOOL_FAILED;
    }
    return code;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"device", required_argument, NULL, 'd'}, {"op", required_argument, NULL, 'o'},
        {"shape", required_argument, NULL, 's'},  {"dtype", required_argument, NULL, 't'},
        {"param", required_argument, NULL, 'p'},  {"threads", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 'S'}, {"json", required_argument, NULL, 'j'},
        {"cache", required_argument, NULL, 'c'},  {"quick", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},         {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    bench_options options = {.threads = cpus > 0 ? (uint32_t)cpus : 1, .seconds = 1, .rounds = 20,
                             .dtype = WANE_DTYPE_F32, .loss = wane_loss_by_id(WANE_LOSS_CROSS_ENTROPY)};
    shapes todo = {0, {{0, 0}}};
    char *params[BENCH_PARAMS];
    uint32_t param_count = 0;
    double threads = options.threads;
    tool_begin("wane-bench");
    bool good = true;
    for (int c; good && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        switch (c) {
        case 'd': options.device = optarg; break;
        case 'o': good = read_op(optarg, &options); break;
        case 's': good = todo.count < SHAPES_MOST && read_shape(optarg, &todo.list[todo.count++]); break;
        case 't': good = read_dtype(optarg, &options); break;
        case 'p': good = param_count < BENCH_PARAMS; if (good) params[param_count++] = optarg; break;
        case 'n': good = read_number("threads", optarg, 1, 1024, &threads); break;
        case 'S': good = read_number("seconds", optarg, 0, 3600, &options.seconds); break;
        case 'j': options.json = optarg; break;
        case 'c': good = read_cache(optarg, &options); break;
        case 'q': options.quick = true; break;
        case 'h': fputs(help_text, stdout); return tool_end(TOOL_OK);
        case 'V': printf("wane %s\n", wane_version()); return tool_end(TOOL_OK);
        default: good = false;
        }
    }
    if (good && optind < argc) {
        tool_error("unexpected argument \"%s\"", argv[optind]);
        good = false;
    }
    if (!good || !read_params(&options, params, param_count)) return tool_usage();
    options.threads = (uint32_t)threads;
    if (options.quick) options.rounds = 3, options.seconds = 0;
    if (!todo.count && options.quick) todo = (shapes){1, {{64, 1000}}};
    else if (!todo.count) todo = (shapes){3, {{4096, 32768}, {1024, 131072}, {512, 262144}}};
    return tool_end(run(&options, &todo));
}
