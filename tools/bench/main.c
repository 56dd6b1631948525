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
    "usage: wane-bench [--device D] [--op LOSS] [--shape NAME=N,...]... [--dtype T]\n"
    "                  [--param NAME=VALUE]... [--threads N] [--seconds S] [--cache hot|cold|both] [--json FILE]\n"
    "                  [--tuning FILE] [--quick]\n"
    "       wane-bench [--device D] [--threads N] [--seconds S] --tune FILE\n"
    "\n"
    "Times a loss: forward, and with gradients; of rows of logits and linear heads also backward from saved statistics, of\n"
    "rows of logits in place too. Each round runs these and the references in rotated order: reading and copying as many\n"
    "bytes as the largest input has on the CPU, plainly and past the caches; multiply-adds and exponentials in registers;\n"
    "for products those of OpenBLAS, if libopenblas.so.0 is there; for pairs what a logistic pair costs. Ratios are taken\n"
    "within a round, because a machine's speed drifts. GB/s count the bytes that have to move: each input read once, each\n"
    "output written once.\n"
    "\n"
    "  --device D       auto, cpu, cpu:avx2, vulkan, vulkan:0, opencl, opencl:0 ... (default: auto)\n"
    "  --op LOSS        wane-eval --list names them (default: cross_entropy)\n"
    "  --shape S        of rows of logits rows=4096,cols=32768; of linear heads also dim=768; of contrastive losses rows,\n"
    "                   dim and, if another number, cols; of ranking items, and groups or pairs. May be given many times\n"
    "                   (default: some that are typical)\n"
    "  --dtype T        of logits, inputs, scores and their gradients: f32, f16, bf16\n"
    "  --param N=V      a parameter, as for wane-eval\n"
    "  --threads N      of the CPU, for the loss and the references (default: as many as this process may use)\n"
    "  --seconds S      time for each line of the table at the least, besides 20 rounds (default: 1)\n"
    "  --cache C        hot: caches as the call before left them; cold: flushed before each call; both (default: hot,\n"
    "                   and cold too for what is smaller than four times the last cache)\n"
    "  --json FILE      all figures as an object; - is standard output, instead of the table\n"
    "  --tuning FILE    a record of the device to plan by\n"
    "  --tune FILE      measures which choices suit the device best, and writes a record of them\n"
    "  --quick          a small shape, and three rounds: does it run at all\n"
    "  --help           this text\n"
    "  --version        the version of the library\n"
    "\n"
    "of read, of copy, ...: the rate over that of a reference, both of bytes, or of flops (products: the three of a linear\n"
    "head; product: the first of them), or exponentials. of roof: the least time that the references allow - the longest\n"
    "of the bytes at the speed of reading (or of the better copy, if a gradient is written), of the multiply-adds, of one\n"
    "exponential a logit, of one logistic pair for each pair of a better and a worse item - over the time taken. extra: the\n"
    "plan's workspace and the host memory that the library took. On a GPU the loss works in buffers of the device, times\n"
    "are wall-clock with submission and waiting, and the references are still the CPU's.\n"
    "error: of the fused call against formulas in double precision, over four of the rows, or where rows are not apart\n"
    "over a smaller problem: of values relative to 1 or themselves, of a gradient to the largest entry (of a row).\n"
    "Exit code: 0; 1 on failure, 2 for wrong usage, 3 if there is no such device.\n";

enum { SHAPES_MOST = 64 };

typedef struct shapes {
    uint32_t count;
    tool_extents list[SHAPES_MOST];
} shapes;

static bool is_named(const char *list, const char *name, size_t length)
{
    for (const char *at = list; *at; at += strcspn(at, ",") + (at[strcspn(at, ",")] == ','))
        if (strcspn(at, ",") == length && strncmp(at, name, length) == 0) return true;
    return false;
}

// "rows=4096,cols=32768" in any order: the extents that it names.
static bool parse_shape(const char *text, const bench_family *family, tool_extents *out)
{
    memset(out, 0, sizeof *out);
    const char *at = text;
    while (*at) {
        size_t length = strcspn(at, "=");
        if (at[length] != '=' || !is_named(family->extents, at, length)) break;
        char name[32], *end = NULL;
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        errno = 0;
        long long value = strtoll(at + length + 1, &end, 10);
        if (errno || end == at + length + 1 || value < 1 || value > INT32_MAX) break;
        bench_set_extent(out, name, value);
        at = end + (*end == ',' && end[1]);
        if (at == end && *end) break;
    }
    return !*at && *text;
}

// Adds what the loss has and a shape may leave out; drops what other losses of the family have.
static bool complete_shape(const bench_options *options, tool_extents *extents)
{
    if (options->family->complete) options->family->complete(options, extents);
    bench_keep_extents(extents, options->loss);
    bool good = true;
    for (const char *name = options->family->extents; good && *name; name += strcspn(name, ",") + (name[strcspn(name, ",")] == ',')) {
        char one[32];
        snprintf(one, sizeof one, "%.*s", (int)strcspn(name, ","), name);
        good = bench_extent(extents, one) > 0 || !bench_has_extent(options->loss, one);
    }
    return good;
}

// The name of an extent that was given in vain: completing dropped it, or made another number of it.
static const char *vain_extent(const tool_extents *given, const tool_extents *complete)
{
    for (uint32_t i = 0; i < given->count; i++)
        if (bench_extent(complete, given->known[i].name) != given->known[i].value) return given->known[i].name;
    return NULL;
}

static bool read_shape(const char *text, const bench_options *options, tool_extents *out)
{
    tool_extents given, typical;
    char hint[96];
    bool good = parse_shape(text, options->family, &given);
    *out = given;
    good = good && complete_shape(options, out);
    const char *vain = good ? vain_extent(&given, out) : NULL;
    if (good && !vain) return true;
    parse_shape(options->family->shapes[1], options->family, &typical);
    complete_shape(options, &typical);
    bench_extents_text(&typical, hint);
    if (vain) tool_error("--shape %s: %s takes no %s here; write %s", text, options->loss->name, vain, hint);
    else tool_error("--shape %s: write %s, each from 1 to 2147483647", text, hint);
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
    return options->loss != NULL;
}

static bool find_family(bench_options *options)
{
    for (uint32_t i = 0; bench_families[i]; i++)
        if (strcmp(bench_families[i]->name, options->loss->family) == 0) options->family = bench_families[i];
    if (!options->family) tool_error("--op %s: losses of the family %s are not timed yet", options->loss->name, options->loss->family);
    return options->family != NULL;
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

static int run_state(bench_work *work, bench_memory *memory, bench_team *team, bool cold, cJSON *results)
{
    const bench_options *options = work->options;
    bench_result result;
    int code = bench_measure(work, team, cold, &result);
    if (!code) code = bench_accuracy(work, memory, &result);
    if (!code && results) cJSON_AddItemToArray(results, bench_json(work, &result));
    if (!code && !(options->json && strcmp(options->json, "-") == 0)) {
        bench_print(work, &result);
        fflush(stdout);
    }
    bench_result_free(&result);
    return code;
}

static int run_shape(tool_session *session, bench_memory *memory, wane_device *device, bench_team *team,
                     const bench_options *options, const tool_extents *extents, cJSON *results)
{
    bench_work work;
    char shape[96];
    bench_progress("%s: data and plans", bench_extents_text(extents, shape));
    int code = bench_work_make(&work, session, memory, device, options, extents);
    bench_progress(NULL);
    bool small = work.bulk && 2 * (uint64_t)work.bulk->shape.bytes < 4 * (uint64_t)bench_cache_bytes();
    bool hot = options->hot || !options->cold, cold = options->cold || (!options->hot && small && !options->quick);
    if (!code && hot) code = run_state(&work, memory, team, false, results);
    if (!code && cold) code = run_state(&work, memory, team, true, results);
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
        code = run_shape(session, memory, device, team, options, &todo->list[i], results);
    bench_team_free(team);
    if (!code && json) return tool_json_print(json, file);
    cJSON_Delete(json);
    return code;
}

// The file is the tool's to read: the library takes a text, and none at all as the wish for its own choices.
static int read_tuning(tool_session *session, wane_device *device, const char *path)
{
    static char record[1 << 16];
    FILE *file = fopen(path, "rb");
    size_t bytes = file ? fread(record, 1, sizeof record, file) : 0;
    if (!file || ferror(file)) tool_error("--tuning %s: %s", path, strerror(errno));
    bool failed = !file || ferror(file), empty = !failed && !bytes;
    if (empty) tool_error("--tuning %s: is empty, not a tuning record; make it anew by wane-bench --tune", path);
    failed = failed || empty;
    wane_status status = failed ? WANE_OK : wane_device_tune(device, record, bytes);
    if (file) fclose(file);
    return failed ? TOOL_FAILED : status ? tool_report(session, status, path) : TOOL_OK;
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
        if (!code && options->tuning) code = read_tuning(&session, device, options->tuning);
        if (!code && options->tune) code = bench_tune(&session, &memory, device, options);
        else if (!code) code = run_all(&session, &memory, device, options, todo, file);
        tool_close(&session);
    }
    if (file && !standard && fclose(file) != 0 && !code) {
        tool_error("--json %s: %s", options->json, strerror(errno));
        code = TOOL_FAILED;
    }
    return code;
}

// The shapes that were given, or the family's own.
static bool read_shapes(const bench_options *options, char *const *texts, uint32_t count, shapes *out)
{
    out->count = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!read_shape(texts[i], options, &out->list[out->count++])) return false;
    const char *const *own = options->family->shapes;
    for (uint32_t i = options->quick ? 0 : 1; !count && own[i] && out->count < (options->quick ? 1 : SHAPES_MOST); i++) {
        tool_extents *extents = &out->list[out->count++];
        if (!parse_shape(own[i], options->family, extents) || !complete_shape(options, extents)) return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"device", required_argument, NULL, 'd'}, {"op", required_argument, NULL, 'o'},
        {"shape", required_argument, NULL, 's'},  {"dtype", required_argument, NULL, 't'},
        {"param", required_argument, NULL, 'p'},  {"threads", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 'S'}, {"json", required_argument, NULL, 'j'},
        {"cache", required_argument, NULL, 'c'},  {"quick", no_argument, NULL, 'q'},
        {"tuning", required_argument, NULL, 'u'}, {"tune", required_argument, NULL, 'T'},
        {"help", no_argument, NULL, 'h'},         {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    static shapes todo;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    bench_options options = {.threads = cpus > 0 ? (uint32_t)cpus : 1, .seconds = 1, .rounds = 20,
                             .dtype = WANE_DTYPE_F32, .loss = wane_loss_by_id(WANE_LOSS_CROSS_ENTROPY)};
    char *params[BENCH_PARAMS], *texts[SHAPES_MOST];
    uint32_t param_count = 0, text_count = 0;
    double threads = options.threads;
    tool_begin("wane-bench");
    bool good = true;
    const char *timing = NULL;
    for (int c, at = 0; good && (c = getopt_long(argc, argv, "h", longs, &at)) != -1;) {
        if (strchr("ostpjcuq", c)) timing = longs[at].name;
        switch (c) {
        case 'd': options.device = optarg; break;
        case 'o': good = read_op(optarg, &options); break;
        case 's': good = text_count < SHAPES_MOST; if (good) texts[text_count++] = optarg; break;
        case 't': good = read_dtype(optarg, &options); break;
        case 'p': good = param_count < BENCH_PARAMS; if (good) params[param_count++] = optarg; break;
        case 'n': good = read_number("threads", optarg, 1, 1024, &threads); break;
        case 'S': good = read_number("seconds", optarg, 0, 3600, &options.seconds); break;
        case 'j': options.json = optarg; break;
        case 'c': good = read_cache(optarg, &options); break;
        case 'u': options.tuning = optarg; break;
        case 'T': options.tune = optarg; break;
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
    if (good && options.tune && timing) {
        tool_error("--tune measures problems of its own, without --%s", timing);
        good = false;
    }
    if (!good || !find_family(&options) || !read_params(&options, params, param_count)
        || !read_shapes(&options, texts, text_count, &todo))
        return tool_usage();
    options.threads = (uint32_t)threads;
    if (options.quick) options.rounds = 3, options.seconds = 0;
    return tool_end(run(&options, &todo));
}
