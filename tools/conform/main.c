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
    "  --quick        some hundred cases, the default\n"
    "  --full         thousands\n"
    "  --filter GLOB  only cases whose name matches; * and ? stand for anything and for one character\n"
    "  --list         names the cases and runs none\n"
    "  --seed N       other numbers, and other random cases; default 1\n"
    "  --mode M       test (default); support: what the device can plan, and why not\n"
    "  --tap          the results as TAP on standard output, everything else on standard error\n"
    "  --junit F      ... and as JUnit XML, JSON or CSV in a file, valid at any moment\n"
    "  --json F\n"
    "  --csv F\n"
    "  --digest       prints a hash of all outputs' bits, to compare runs, thread counts, subgroup sizes\n"
    "  --threads N    threads of the CPU's pool\n"
    "  --timeout S    seconds for a case; default 120\n"
    "  --no-fork      one process: for debuggers, sanitizers and drivers that do not like to be forked\n"
    "  --verbose      a line for each case\n"
    "  --help, --version\n"
    "\n"
    "Exit code: 0 all passed, 1 failures (or interrupted), 2 wrong usage, 3 no such device, 77 nothing ran.\n";

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
    const text texts[] = {{"--device", &o->device}, {"--filter", &o->filter}, {"--junit", &o->junit},
                          {"--json", &o->json}, {"--csv", &o->csv}};
    double number;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(name, texts[i].name) == 0) {
            if (!value) return usage("a value is missing after", name);
            *texts[i].to = value;
            return 0;
        }
    bool mode = strcmp(name, "--mode") == 0, seed = strcmp(name, "--seed") == 0, threads = strcmp(name, "--threads") == 0;
    if (!mode && !seed && !threads && strcmp(name, "--timeout") != 0) return usage("unknown argument", name);
    if (!value) return usage("a value is missing after", name);
    if (mode) {
        o->support = strcmp(value, "support") == 0;
        return o->support || strcmp(value, "test") == 0 ? 0 : usage("--mode is test or support, not", value);
    }
    if (!parse_number(value, seed ? 0 : threads ? 1 : 0.001, seed ? 0x1p53 : 1e6, &number)
        || (!mode && strcmp(name, "--timeout") != 0 && number != floor(number)))
        return usage(seed ? "--seed takes a whole number, not" : threads ? "--threads takes a number from 1, not"
                                                                          : "--timeout takes seconds, not", value);
    if (seed) o->seed = (uint64_t)number;
    else if (threads) o->threads = (uint32_t)number;
    else o->timeout = number;
    return 0;
}

// 0 to go on, else 1 + the exit code.
static int parse(conform_options *o, int argc, char **argv)
{
    memset(o, 0, sizeof *o);
    o->seed = 1;
    o->timeout = 120;
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

int wane_conform_main(int argc, char **argv)
{
    conform_options options;
    int over = parse(&options, argc, argv);
    if (over) return over - 1;
    if (options.support) return conform_support(&options);
    conform_list list = {0};
    conform_make_cases(&list, options.full, options.seed, options.filter);
    const wane_loss_info *loss;
    for (uint32_t i = 0; (loss = wane_loss_at(i)); i++)
        if (!conform_family_of(loss))
            fprintf(stderr, "wane-conform: no cases for %s: its family, %s, has no file in tools/conform\n", loss->name, loss->family);
    int code = 1;
    if (list.failed) {
        fprintf(stderr, "wane-conform: no memory for the list of cases\n");
    } else if (!list.count) {
        fprintf(stderr, "wane-conform: no case matches --filter %s: --list names them all\n",
                options.filter ? options.filter : "*");
        code = 77;
    } else if (options.list) {
        for (size_t i = 0; i < list.count; i++) puts(list.cases[i].name);
        code = 0;
    } else {
        conform_report report;
        char error[1024] = "";
        code = EXIT_USAGE;
        if (conform_report_open(&report, &options, &list)) {
            conform_sink sink = conform_report_sink(&report);
            int ended = list.count ? conform_run_all(&options, &list, &sink, error, sizeof error) : RUN_DONE;
            code = conform_report_close(&report, ended, error);
        }
    }
    free(list.cases);
    return code;
}
