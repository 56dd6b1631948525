// wane-eval.c - any registered loss on arrays in .npy files: options, the problem, the run.
#include "wane-eval.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help_text[] =
    "usage: wane-eval LOSS [--device D] --in ROLE=FILE.npy ... [--param NAME=VALUE ...] [--out ROLE=FILE.npy ...]\n"
    "       wane-eval --list [--json]\n"
    "       wane-eval --describe LOSS [--json]\n"
    "\n"
    "Computes the value and the gradient of a loss on arrays in NumPy's .npy format, and writes what is asked for in\n"
    "the same format. Scalars among the outputs are printed too (\"loss = 2.3025851\"); without --out the loss is.\n"
    "\n"
    "  --in ROLE=FILE.npy          an input. Saved statistics as an input replace the forward pass\n"
    "  --out ROLE=FILE.npy         an output; the files appear only when everything has succeeded\n"
    "  --accumulate ROLE=FILE.npy  the gradient of that role adds to this array instead of to nothing\n"
    "  --param NAME=VALUE          a parameter; a choice by its name, reduction=none\n"
    "  --device D                  auto, cpu, cpu:avx2, vulkan, vulkan:0, opencl, opencl:0 ...; wane-info lists them.\n"
    "                              Absent: the environment's WANE_DEVICE, else auto\n"
    "  --dtype bf16                two-byte words ('<u2') in the inputs are bf16; bf16 outputs are written so too\n"
    "  --statistics-mask N         the planes of statistics to save, or that are given (WANE_STATISTIC_* bits).\n"
    "                              Absent: the least that the gradient needs. 0x1f holds what entropy needs too\n"
    "  --plan                      print what would be done (passes, kernels, workspace) and stop\n"
    "  --strict                    faults in the data (bad targets, NaN) are an error: exit code 1 and no files\n"
    "  --list                      the losses\n"
    "  --describe LOSS             its roles, shapes, types, parameters, defaults, formula\n"
    "  --json                      JSON, with --list and --describe\n"
    "  --help, --version           this text; the version of the library\n"
    "\n"
    "Files: version 1.0, 2.0 or 3.0, little-endian, C order; f32 '<f4', f16 '<f2', i32 '<i4', i64 '<i8', u32 '<u4',\n"
    "u8 '|u1', bf16 as '<u2'. Labels of u8 and u32 are widened to i64. f64 is refused: convert it to f32. Outputs\n"
    "have version 1.0; scalars have the shape (), argmax is i64, a gradient has its input's type, or that of the file\n"
    "it accumulates to. Logits may be [rows, cols], [N, C, L] or [N, C, H, W].\n"
    "Exit code: 0, also where the data has faults (a warning counts them); 1 on failure (a file, the library's\n"
    "checks, a device's error), 2 for wrong usage, 3 if the device does not exist or is refused.\n";

typedef struct eval_options {
    const char **in, **out, **accumulate, **params;
    uint32_t in_count, out_count, accumulate_count, param_count;
    const char *loss, *device, *dtype, *mask;
    bool list, describe, json, plan, strict;
} eval_options;

// ---- from options to a problem ------------------------------------------------------------------------------------

// Splits "role=file" and finds the role. Returns an exit code.
static int split(const wane_loss_info *loss, const char *option, const char *text, const wane_role_info **role,
                 const char **file)
{
    *role = NULL;
    *file = NULL;
    size_t length = strcspn(text, "=");
    if (length == 0 || text[length] != '=' || !text[length + 1]) {
        tool_error("%s takes ROLE=FILE.npy, not \"%s\"", option, text);
        return tool_usage();
    }
    *role = tool_role(loss, text, length);
    *file = text + length + 1;
    return *role ? TOOL_OK : TOOL_USAGE;
}

static eval_operand *find_operand(eval_problem *problem, wane_role role)
{
    for (uint32_t i = 0; i < problem->operand_count; i++)
        if (problem->operands[i].role->role == role) return &problem->operands[i];
    return NULL;
}

static eval_operand *add_operand(eval_problem *problem, const wane_role_info *role, const char *file, bool output)
{
    eval_operand *operand = &problem->operands[problem->operand_count++];
    memset(operand, 0, sizeof *operand);
    operand->role = role;
    operand->file = file;
    operand->output = output;
    return operand;
}

static int add_input(eval_problem *problem, const char *text)
{
    const wane_role_info *role;
    const char *file;
    int code = split(problem->loss, "--in", text, &role, &file);
    if (code) return code;
    if (role->direction != WANE_DIRECTION_IN && role->direction != WANE_DIRECTION_STATE) {
        tool_error("%s is an output of %s: ask for it with --out %s=%s", role->name, problem->loss->name, role->name,
                   file);
        return TOOL_USAGE;
    }
    if (find_operand(problem, role->role)) {
        tool_error("--in %s is given twice", role->name);
        return TOOL_USAGE;
    }
    add_operand(problem, role, file, false);
    return TOOL_OK;
}

static int add_output(eval_problem *problem, const char *text)
{
    const wane_role_info *role;
    const char *file;
    int code = split(problem->loss, "--out", text, &role, &file);
    if (code) return code;
    if (role->direction == WANE_DIRECTION_IN) {
        tool_error("%s is an input of %s: give it with --in %s=%s", role->name, problem->loss->name, role->name, file);
        return TOOL_USAGE;
    }
    if (find_operand(problem, role->role)) {
        bool twice = find_operand(problem, role->role)->output;
        tool_error("%s is given %s", role->name, twice ? "twice with --out" : "with --in and --out");
        return TOOL_USAGE;
    }
    struct stat st;
    if (stat(file, &st) == 0 && S_ISDIR(st.st_mode)) {
        tool_error("%s (%s): is a folder; name a file", role->name, file);
        return TOOL_USAGE;
    }
    for (uint32_t i = 0; i < problem->operand_count; i++)
        if (problem->operands[i].output && strcmp(problem->operands[i].file, file) == 0) {
            tool_error("%s and %s go to the same file %s", problem->operands[i].role->name, role->name, file);
            return TOOL_USAGE;
        }
    add_operand(problem, role, file, true);
    return TOOL_OK;
}

static int add_accumulate(eval_problem *problem, const char *text)
{
    const wane_role_info *role;
    const char *file;
    int code = split(problem->loss, "--accumulate", text, &role, &file);
    if (code) return code;
    eval_operand *operand = find_operand(problem, role->role);
    if (role->direction != WANE_DIRECTION_GRAD)
        tool_error("%s is not a gradient: only gradients accumulate", role->name);
    else if (!operand)
        tool_error("--accumulate %s needs --out %s=FILE.npy, where the sum goes", role->name, role->name);
    else if (operand->start_file) tool_error("--accumulate %s is given twice", role->name);
    else {
        operand->start_file = file;
        return TOOL_OK;
    }
    return TOOL_USAGE;
}

static int add_operands(eval_problem *problem, const eval_options *options)
{
    // beside those of the options: the loss if nothing is asked for
    problem->operands = calloc((size_t)options->in_count + options->out_count + 1, sizeof *problem->operands);
    if (!problem->operands) {
        tool_error("out of memory");
        return TOOL_FAILED;
    }
    int code = TOOL_OK;
    for (uint32_t i = 0; i < options->in_count && !code; i++) code = add_input(problem, options->in[i]);
    for (uint32_t i = 0; i < options->out_count && !code; i++) code = add_output(problem, options->out[i]);
    for (uint32_t i = 0; i < options->accumulate_count && !code; i++)
        code = add_accumulate(problem, options->accumulate[i]);
    const wane_role_info *loss = tool_role_by_id(problem->loss, WANE_ROLE_LOSS);
    if (!code && options->out_count == 0 && loss) add_operand(problem, loss, NULL, true);
    return code;
}

static int add_params(eval_problem *problem, const eval_options *options)
{
    problem->params = calloc((size_t)options->param_count + 1, sizeof *problem->params);
    if (!problem->params) {
        tool_error("out of memory");
        return TOOL_FAILED;
    }
    for (uint32_t i = 0; i < options->param_count; i++) {
        if (!tool_param(problem->loss, options->params[i], &problem->params[i])) return TOOL_USAGE;
        problem->param_count++;
    }
    return TOOL_OK;
}

static int make_problem(eval_problem *problem, const eval_options *options)
{
    problem->loss = tool_loss(options->loss);
    if (!problem->loss) return TOOL_USAGE;
    problem->device = options->device;
    problem->plan_only = options->plan;
    problem->strict = options->strict;
    int dtype = options->dtype ? tool_dtype_by_name(options->dtype) : 0;
    if (options->dtype && dtype != WANE_DTYPE_BF16) {
        tool_error("--dtype %s: the type is read from each file; only bf16, which NumPy does not know, is named",
                   options->dtype);
        return TOOL_USAGE;
    }
    problem->bf16 = dtype == WANE_DTYPE_BF16;
    if (options->mask) {
        char *end;
        unsigned long mask = strtoul(options->mask, &end, 0);
        if (end == options->mask || *end || options->mask[0] == '-' || mask > UINT32_MAX) {
            tool_error("--statistics-mask takes a number of bits, not \"%s\"", options->mask);
            return tool_usage();
        }
        problem->statistics_mask = (uint32_t)mask;
    }
    int code = add_params(problem, options);
    return code ? code : add_operands(problem, options);
}

static void free_problem(eval_problem *problem)
{
    for (uint32_t i = 0; i < problem->operand_count; i++) tool_array_free(&problem->operands[i].array);
    free(problem->operands);
    free(problem->params);
}

// ---- shapes -------------------------------------------------------------------------------------------------------

static wane_loss_desc describe(const eval_problem *problem, const wane_operand *operands)
{
    wane_loss_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    desc.loss = problem->loss->loss;
    desc.params = problem->params;
    desc.param_count = problem->param_count;
    desc.operands = operands;
    desc.operand_count = operands ? problem->operand_count : 0;
    desc.statistics_mask = problem->statistics_mask;
    return desc;
}

// A gradient has its input's type; what may be i32 or i64 is written as i64; else there is one type.
static int output_dtype(eval_problem *problem, const wane_role_info *role)
{
    for (uint32_t i = 0; i < problem->operand_count && role->direction == WANE_DIRECTION_GRAD; i++) {
        const eval_operand *input = &problem->operands[i];
        if (!input->output && strncmp(role->name, "grad_", 5) == 0 && strcmp(role->name + 5, input->role->name) == 0)
            return input->array.dtype;
    }
    static const int order[] = {WANE_DTYPE_F32, WANE_DTYPE_I64, WANE_DTYPE_U32, WANE_DTYPE_I32};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++)
        if (role->types & 1u << order[i]) return order[i];
    return WANE_DTYPE_F32;
}

static int shape_outputs(tool_session *session, eval_problem *problem)
{
    tool_extents extents;
    memset(&extents, 0, sizeof extents);
    tool_extents_start(&extents, problem->loss, problem->params, problem->param_count);
    eval_operand *statistics = find_operand(problem, WANE_ROLE_STATISTICS);
    uint32_t mask = problem->statistics_mask;
    if (statistics && statistics->output && !mask) {
        wane_operand operands[64];                 // types decide which planes there are
        memset(operands, 0, sizeof operands);
        for (uint32_t i = 0; i < problem->operand_count; i++) {
            operands[i].struct_size = sizeof operands[i];
            operands[i].role = problem->operands[i].role->role;
            operands[i].tensor.dtype = (wane_dtype)problem->operands[i].array.dtype;
        }
        wane_loss_desc desc = describe(problem, operands);
        wane_status status = wane_statistics_need(session->context, &desc, &mask);
        if (status) return tool_report(session, status, NULL);
    }
    extents.planes = wane_statistics_plane_count(mask);
    for (uint32_t i = 0; i < problem->operand_count; i++)
        if (!problem->operands[i].output)
            tool_extents_learn(&extents, problem->operands[i].role->shape, &problem->operands[i].array);
    for (uint32_t i = 0; i < problem->operand_count; i++) {
        eval_operand *operand = &problem->operands[i];
        if (!operand->output || operand->array.data) continue;
        if (tool_extents_shape(&extents, operand->role->shape, output_dtype(problem, operand->role), &operand->array))
            continue;
        tool_error("%s: the product of its extents does not fit: give smaller inputs", operand->role->name);
        return TOOL_FAILED;
    }
    return TOOL_OK;
}

static int allocate_outputs(eval_problem *problem)
{
    for (uint32_t i = 0; i < problem->operand_count; i++) {
        eval_operand *operand = &problem->operands[i];
        if (operand->array.data) continue;
        operand->array.data = calloc(operand->array.bytes ? operand->array.bytes : 1, 1);
        if (operand->array.data) continue;
        tool_error("%s: out of memory: its %zu bytes cannot be had", operand->role->name, operand->array.bytes);
        return TOOL_FAILED;
    }
    return TOOL_OK;
}

// ---- the run ------------------------------------------------------------------------------------------------------

// Reports a failed call with the file of the operand at fault.
static int report(tool_session *session, eval_problem *problem, wane_status status)
{
    const char *file = NULL;
    for (uint32_t i = 0; i < problem->operand_count; i++)
        if (strcmp(problem->operands[i].role->name, session->operand) == 0)
            file = problem->operands[i].start_file ? problem->operands[i].start_file : problem->operands[i].file;
    int code = tool_report(session, status, file);
    if (status == WANE_ERROR_MISSING_OPERAND)
        fprintf(stderr, "Give it with --in %s=FILE.npy.\n", session->operand);
    if (status == WANE_ERROR_STATISTICS)
        fprintf(stderr, "Name the planes with --statistics-mask, when they are saved and when they are given back.\n");
    return code;
}

static int make_plan(tool_session *session, eval_problem *problem, wane_device *device, wane_plan **plan)
{
    wane_operand *operands = calloc((size_t)problem->operand_count + 1, sizeof *operands);
    if (!operands) {
        tool_error("out of memory");
        return TOOL_FAILED;
    }
    for (uint32_t i = 0; i < problem->operand_count; i++) {
        const eval_operand *operand = &problem->operands[i];
        wane_tensor *tensor = &operands[i].tensor;
        operands[i].struct_size = sizeof operands[i];
        operands[i].role = operand->role->role;
        if (operand->start_file) operands[i].flags |= WANE_OPERAND_ACCUMULATE;
        if (!operand->output && operand->role->direction == WANE_DIRECTION_STATE)
            operands[i].flags |= WANE_OPERAND_GIVEN;
        tensor->struct_size = sizeof *tensor;
        tensor->dtype = (wane_dtype)operand->array.dtype;
        tensor->rank = operand->array.rank;
        memcpy(tensor->extents, operand->array.extents, sizeof tensor->extents);
    }
    wane_loss_desc desc = describe(problem, operands);
    wane_status status = wane_plan_create(device, &desc, plan);
    free(operands);
    return status ? report(session, problem, status) : TOOL_OK;
}

static int print_plan(const wane_plan *plan)
{
    size_t bytes = wane_plan_describe(plan, NULL, 0) + 1;
    char *text = malloc(bytes);
    if (!text) {
        tool_error("out of memory");
        return TOOL_FAILED;
    }
    wane_plan_describe(plan, text, bytes);
    fputs(text, stdout);
    free(text);
    return TOOL_OK;
}

static wane_status run(eval_problem *problem, wane_executable *executable)
{
    wane_binding *bindings = calloc((size_t)problem->operand_count + 1, sizeof *bindings);
    if (!bindings) return WANE_ERROR_HOST_MEMORY;
    for (uint32_t i = 0; i < problem->operand_count; i++) {
        bindings[i].struct_size = sizeof bindings[i];
        bindings[i].role = problem->operands[i].role->role;
        bindings[i].host = problem->operands[i].array.data;
        bindings[i].bytes = problem->operands[i].array.bytes;
    }
    wane_args args;
    memset(&args, 0, sizeof args);
    args.struct_size = sizeof args;
    args.bindings = bindings;
    args.binding_count = problem->operand_count;
    wane_status status = wane_run(executable, NULL, &args);
    free(bindings);
    return status;
}

static int compute(tool_session *session, eval_problem *problem, wane_plan *plan)
{
    int code = allocate_outputs(problem);
    if (code) return code;
    wane_executable *executable = NULL;
    tool_wait *wait = tool_wait_begin("kernels of the loss are compiled");
    wane_status status = wane_executable_create(plan, &executable);
    tool_wait_end(wait);
    if (!status) status = run(problem, executable);
    wane_executable_destroy(executable);
    if (status < 0) return report(session, problem, status);
    if (status == WANE_WARN_DATA) {
        (problem->strict ? tool_error : tool_warning)("the data has faults: %s", session->faults);
        if (problem->strict) return TOOL_FAILED;
    }
    code = eval_write_outputs(problem);
    if (!code) eval_print_outputs(problem);
    return code;
}

static int evaluate(const eval_options *options)
{
    eval_problem problem;
    memset(&problem, 0, sizeof problem);
    tool_session session;
    wane_device *device = NULL;
    wane_plan *plan = NULL;
    memset(&session, 0, sizeof session);
    // What is wrong with the command line is said before any driver is loaded
    int code = make_problem(&problem, options);
    if (!code) code = tool_open(&session, NULL);
    tool_wait *wait = code ? NULL : tool_wait_begin("the device is opened and its self-test compiled");
    if (!code) code = tool_device(&session, problem.device, &device);
    tool_wait_end(wait);
    if (!code) code = eval_read_inputs(&problem);
    if (!code) code = shape_outputs(&session, &problem);
    if (!code) code = make_plan(&session, &problem, device, &plan);
    if (!code) code = problem.plan_only ? print_plan(plan) : compute(&session, &problem, plan);
    wane_plan_destroy(plan);
    tool_close(&session);
    free_problem(&problem);
    return code;
}

// ---- the command line ---------------------------------------------------------------------------------------------

static const struct option long_options[] = {
    {"in", required_argument, NULL, 'i'},         {"out", required_argument, NULL, 'o'},
    {"accumulate", required_argument, NULL, 'a'}, {"param", required_argument, NULL, 'p'},
    {"device", required_argument, NULL, 'd'},     {"dtype", required_argument, NULL, 't'},
    {"statistics-mask", required_argument, NULL, 'm'}, {"plan", no_argument, NULL, 'P'},
    {"strict", no_argument, NULL, 's'},           {"list", no_argument, NULL, 'l'},
    {"describe", no_argument, NULL, 'D'},         {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},             {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

// Reads the options. Returns an exit code, or -1 to go on.
static int parse(int argc, char **argv, eval_options *options)
{
    for (int c; (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        switch (c) {
        case 'i': options->in[options->in_count++] = optarg; break;
        case 'o': options->out[options->out_count++] = optarg; break;
        case 'a': options->accumulate[options->accumulate_count++] = optarg; break;
        case 'p': options->params[options->param_count++] = optarg; break;
        case 'd': options->device = optarg; break;
        case 't': options->dtype = optarg; break;
        case 'm': options->mask = optarg; break;
        case 'P': options->plan = true; break;
        case 's': options->strict = true; break;
        case 'l': options->list = true; break;
        case 'D': options->describe = true; break;
        case 'j': options->json = true; break;
        case 'h': fputs(help_text, stdout); return TOOL_OK;
        case 'V': printf("wane %s\n", wane_version()); return TOOL_OK;
        default: return tool_usage();
        }
    }
    if (optind < argc) options->loss = argv[optind++];
    if (optind < argc) {
        tool_error("unexpected argument \"%s\": one loss at a time, files as --in ROLE=FILE.npy", argv[optind]);
        return tool_usage();
    }
    return -1;
}

static int act(const eval_options *options)
{
    if (options->json && !options->list && !options->describe) {
        tool_error("--json goes with --list or --describe");
        return tool_usage();
    }
    if (options->list && options->loss) {
        tool_error("--list takes no loss: --describe %s tells of one", options->loss);
        return tool_usage();
    }
    if (options->list) return eval_list(options->json);
    if (!options->loss) {
        tool_error("no loss is named; --list shows them");
        return tool_usage();
    }
    if (!options->describe) return evaluate(options);
    const wane_loss_info *loss = tool_loss(options->loss);
    return loss ? eval_describe(loss, options->json) : TOOL_USAGE;
}

int main(int argc, char **argv)
{
    tool_begin("wane-eval");
    // each list can hold all arguments
    const char **lists = calloc(4 * ((size_t)argc + 1), sizeof *lists);
    if (!lists) {
        tool_error("out of memory");
        return TOOL_FAILED;
    }
    eval_options options;
    memset(&options, 0, sizeof options);
    options.in = lists;
    options.out = options.in + argc + 1;
    options.accumulate = options.out + argc + 1;
    options.params = options.accumulate + argc + 1;
    int code = parse(argc, argv, &options);
    if (code < 0) code = act(&options);
    free(lists);
    return tool_end(code);
}
