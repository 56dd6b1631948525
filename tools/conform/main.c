// main.c - the command line of the conformance test.
#include "wane_conform.h"

#include "family.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_USAGE = 2 };

static const char help_text[] =
    "usage: wane-conform [--device D] [--quick|--full] [--filter GLOB] [--seed N] ...\n"
    "\n"
    "Runs every loss of the registry over shapes, parameters, roles, special values, views and ways to call, and judges\n"
    "each element of each output by an oracle in double precision. A case ends in pass, fail, skip (the device cannot),\n"
    "crash, timeout or mistrusted (only zeros are expected, so that passing says nothing); the last three count as\n"
    "failed. Errors are told in units of the published tolerance.\n"
    "\n"
    "  --device D     auto, cpu, cpu:generic, cpu:avx2, vulkan, vulkan:0, opencl, opencl:0 ...; default: WANE_DEVICE, or auto\n"
    "  --quick        some 3600 cases, the default: three minutes on a software driver\n"
    "  --full         some 40000\n"
    "  --filter GLOB  only cases whose name matches; * and ? stand for anything and for one character\n"
    "  --caselist F   only cases that a line of the file matches; lines that begin with # are left out\n"
    "  --share N      one case in N, drawn by name and seed: for devices that take seconds where others take milliseconds\n"
    "  --list         names the cases and runs none\n"
    "  --seed N       other numbers, and other random cases; default 1\n"
    "  --mode M       test (default); grad: gradients against differences of the device's own loss, without the oracle;\n"
    "                 perf: how long the calls take; support: what the device can plan, and why not\n"
    "  --jobs N       processes at a time; default 1. The reports do not depend on it\n"
    "  --baseline F   names, or the CSV of an earlier run: its failures are told as known, only others count\n"
    "  --waivers F    failures that are excused: lines GLOB OF CASES | GLOB OF DEVICE AND DRIVER | REASON\n"
    "  --tap          the results as TAP on standard output, everything else on standard error\n"
    "  --junit F      ... and as JUnit XML, JSON or CSV in a file, valid at any moment\n"
    "  --json F\n"
    "  --csv F\n"
    "  --digest       prints a hash of all outputs' bits, to compare runs, thread counts, subgroup sizes\n"
    "  --threads N    threads of the CPU's pool\n"
    "  --timeout S    seconds for a case; default 120\n"
    "  --stop-after N ends the run after N failures\n"
    "  --no-fork      one process: for debuggers, sanitizers and drivers that do not like to be forked\n"
    "  --verbose      a line for each case\n"
    "  --help, --version\n"
    "\n"
    "Exit code: 0 all passed, 1 failures (or interrupted), 2 wrong usage, 3 no such device, or none any more, 77 nothing\n"
    "ran.\n";

static int usage(const char *what, const char *argument)
{
    fprintf(stderr, "wane-conform: %s%s%s; see --help\n", what, argument[0] ? " " : "", argument);
    return EXIT_USAGE;
}

static bool parse_number(const char *text, double lowest, double highest, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    return end != text && !*end && !errno && *out >= lowest && *out <= highest;
}

typedef struct flag { const char *name; bool *to; } flag;
typedef struct text { const char *name; const char **to; } text;

static bool take_flag(conform_options *o, const char *argument)
{
    const flag flags[] = {{"--full", &o->full}, {"--list", &o->list}, {"--tap", &o->tap}, {"--digest", &o->digest},
                          {"--no-fork", &o->no_fork}, {"--verbose", &o->verbose}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(argument, flags[i].name) == 0) return *flags[i].to = true;
    if (strcmp(argument, "--quick") != 0) return false;
    o->full = false;
    return true;
}

static int take_value(conform_options *o, const char *name, const char *value)
{
    const text texts[] = {{"--device", &o->device}, {"--filter", &o->filter}, {"--caselist", &o->caselist},
                          {"--baseline", &o->baseline}, {"--waivers", &o->waivers}, {"--junit", &o->junit},
                          {"--json", &o->json}, {"--csv", &o->csv}};
    double number;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(name, texts[i].name) == 0) {
            if (!value) return usage("a value is missing after", name);
            *texts[i].to = value;
            return 0;
        }
    if (strcmp(name, "--mode") == 0) {
        static const char *const modes[] = {"test", "grad", "perf", "support"};
        for (int i = 0; value && i < 4; i++)
            if (strcmp(value, modes[i]) == 0) {
                o->mode = (conform_mode)i;
                return 0;
            }
        return usage("--mode is test, grad, perf or support, not", value ? value : "nothing");
    }
    const struct { const char *name; double lowest, highest; bool whole; } numbers[] = {
        {"--seed", 0, 0x1p53, true}, {"--threads", 1, 1e6, true}, {"--jobs", 1, 256, true}, {"--timeout", 0.001, 1e6, false},
        {"--stop-after", 1, 1e9, true}, {"--share", 1, 1e6, true}};
    int which = 0;
    while (which < 6 && strcmp(name, numbers[which].name) != 0) which++;
    if (which == 6) return usage("unknown argument", name);
    if (!value) return usage("a value is missing after", name);
    bool fits = parse_number(value, numbers[which].lowest, numbers[which].highest, &number);
    if (!fits || (numbers[which].whole && number != floor(number))) {
        fprintf(stderr, "wane-conform: %s takes a %s from %g to %g, not %s; see --help\n", name,
                numbers[which].whole ? "whole number" : "number", numbers[which].lowest, numbers[which].highest, value);
        return EXIT_USAGE;
    }
    if (which == 0) o->seed = (uint64_t)number;
    if (which == 1) o->threads = (uint32_t)number;
    if (which == 2) o->jobs = (uint32_t)number;
    if (which == 3) o->timeout = number;
    if (which == 4) o->stop_after = (size_t)number;
    if (which == 5) o->share = (uint32_t)number;
    return 0;
}

// 0 to go on, else 1 + the exit code.
static int parse(conform_options *o, int argc, char **argv)
{
    memset(o, 0, sizeof *o);
    o->seed = 1;
    o->timeout = 120;
    o->jobs = 1;
    o->share = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return fputs(help_text, stdout) < 0 ? 2 : 1;
        if (strcmp(argv[i], "--version") == 0) return printf("wane-conform %s\n", wane_version()) < 0 ? 2 : 1;
        if (take_flag(o, argv[i])) continue;
        int wrong = take_value(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (wrong) return 1 + wrong;
        i++;
    }
    return 0;
}

// ---- the list ----

// Drawn by name, so that a case keeps its lot when others come or go (FNV-1a, its bits mixed).
static bool drawn(const conform_options *o, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325u ^ o->seed;
    for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 0x100000001b3u;
    return o->share < 2 || (hash ^ hash >> 32) % o->share == 0;
}

static bool chosen(const conform_options *o, const conform_lists *lists, const conform_case *c)
{
    bool large = o->filter || o->caselist || (double)c->rows * (double)c->cols > 60000;
    if (o->mode == MODE_GRAD && !conform_grad_fits(c)) return false;
    if (o->mode == MODE_PERF && (!large || !conform_perf_fits(c))) return false;
    return drawn(o, c->name) && conform_listed(lists, c->name);
}

// Reports losses without cases, lines of the case list without one, and an empty list.
static void choose(const conform_options *o, conform_lists *lists, conform_list *list)
{
    const wane_loss_info *loss;
    size_t kept = 0, made;
    for (uint32_t i = 0; (loss = wane_loss_at(i)); i++)
        if (!conform_family_of(loss))
            fprintf(stderr, "wane-conform: no cases for %s: its family, %s, has no file in tools/conform\n", loss->name, loss->family);
    conform_make_cases(list, o->full, o->seed, o->filter);
    made = list->count;
    for (size_t i = 0; i < made; i++)
        if (chosen(o, lists, &list->cases[i])) list->cases[kept++] = list->cases[i];
    list->count = kept;
    for (size_t i = 0; lists->caselist && lists->caselist[i]; i++)
        if (!lists->seen[i])
            fprintf(stderr, "wane-conform: no case matches %s of %s%s\n", lists->caselist[i], o->caselist,
                    o->full ? "" : "; --full has more cases");
    if (kept) return;
    if (made && o->mode != MODE_TEST)
        fprintf(stderr, "wane-conform: none of %zu cases fits this --mode: it takes plain values and dense tensors\n", made);
    else
        fprintf(stderr, "wane-conform: no case matches --filter %s: --list names them all%s\n", o->filter ? o->filter : "*",
                o->full ? "" : ", and --full has more");
}

static int run(const conform_options *options, const conform_lists *lists, const conform_list *list)
{
    conform_report report;
    char error[1280] = "";
    if (!conform_report_open(&report, options, list, lists)) return EXIT_USAGE;
    conform_sink sink = conform_report_sink(&report);
    int ended = conform_run_all(options, list, &sink, error, sizeof error);
    return conform_report_close(&report, ended, error);
}

int wane_conform_main(int argc, char **argv) { return wane_conform_main_with(argc, argv, NULL); }

int wane_conform_main_with(int argc, char **argv, const wane_context_desc *context)
{
    conform_options options;
    conform_lists lists;
    conform_list list = {0};
    int code = parse(&options, argc, argv);
    if (code) return code - 1;
    options.context = context;
    if (options.no_fork && options.jobs > 1) return usage("--no-fork is one process, without", "--jobs");
    if (options.mode == MODE_SUPPORT) return conform_support(&options);
    code = EXIT_USAGE;
    if (conform_lists_open(&lists, &options)) {
        choose(&options, &lists, &list);
        code = list.count ? 0 : 77;
        if (list.failed) {
            fprintf(stderr, "wane-conform: no memory for the list of cases\n");
            code = 1;
        } else if (options.list) {
            for (size_t i = 0; i < list.count; i++) puts(list.cases[i].name);
        } else if (list.count) {
            code = run(&options, &lists, &list);
        }
    }
    free(list.cases);
    conform_lists_close(&lists);
    return code;
}
