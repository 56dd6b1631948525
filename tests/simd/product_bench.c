// product_bench.c - the three products of a linear head by a set's tile_product, and linear_cross_entropy whole, beside
// OpenBLAS's three products in the same process.
//     OPENBLAS_CORETYPE=SkylakeX simd_product_bench [ROWS COLS DIM [THREADS [f32|bf16 [SET]]]]
// OpenBLAS is loaded if it is there, and no part of the build. Each figure is the median of the rounds; rounds alternate.
#include "backend/cpu/sets.h"
#include "backend/cpu/threads.h"

#include "kernels/softmax.h"
#include "kernels/tile.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

// ours, OpenBLAS, the whole loss, and that of the same numbers in f32
enum { ROUNDS = 5, PRODUCTS = 3, FORWARD = 6, BOTH = 7, BOTH_F32 = 8, CONTENDERS = 9 };

typedef void (*sgemm)(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb,
                      float beta, float *c, int ldc);

typedef struct shape { uint32_t rows, cols, dim; bool half; } shape;
typedef struct matrices { float *x, *w, *z, *dx, *dw, loss; uint16_t *xh, *wh; int32_t *target; } matrices;

typedef struct job { wane_cpu_kernel kernel; wane_cpu_call call; uint32_t items, parts, line; } job;

static void run_part(void *argument, uint32_t index)
{
    const job *j = argument;
    uint32_t lines = j->items / j->line;
    j->kernel(&j->call, lines * index / j->parts * j->line, lines * (index + 1) / j->parts * j->line);
}

static void product(wane_pool *pool, const wane_cpu_set *set, shape s, matrices m, int which)
{
    uint32_t rows = which == 2 ? s.cols : s.rows, cols = which == 0 ? s.cols : s.dim;
    uint32_t depth = which == 0 ? s.dim : which == 1 ? s.cols : s.rows;
    const void *x = s.half ? (void *)m.xh : (void *)m.x, *w = s.half ? (void *)m.wh : (void *)m.w;
    uint32_t type = s.half ? TYPE_BF16 : TYPE_F32, types[4] = {which == 0 ? type | type << 4 : type << 4, which == 0 ? 3 : which == 1 ? 1 : 0};
    uint32_t record[64] = {which == 2 ? 1 : which == 1 ? s.cols : s.dim, which == 2 ? s.cols : 1, which == 0 ? s.dim : 1,
                           which == 0 ? 1 : s.dim, which == 0 ? s.cols : s.dim, 1, 1, 0};
    uint32_t ti = (rows + 63) / 64, tj = (cols + 63) / 64, tiles = which == 2 ? tj : ti;
    uint32_t window[8] = {ti * tj, 0, rows, cols, depth, tiles, (which == 2 ? TILE_ACROSS : 0) | TILE_MAY_ROUND};
    job j = {set->kernels[WANE_KERNEL_TILE_PRODUCT], {{0}, record, window, types, false, NULL, 0}, ti * tj, wane_pool_width(pool), tiles};
    j.call.slots[0] = (uint32_t *)(which == 0 ? x : m.z);
    j.call.slots[1] = (uint32_t *)(which == 2 ? x : w);
    j.call.slots[3] = (uint32_t *)(which == 0 ? m.z : which == 1 ? m.dx : m.dw);
    wane_pool_run(pool, j.parts, run_part, &j);
}

static void blas(sgemm f, shape s, matrices m, int which)
{
    int n = (int)s.rows, v = (int)s.cols, d = (int)s.dim;
    enum { ROW_MAJOR = 101, NO = 111, YES = 112 };
    if (which == 0) f(ROW_MAJOR, NO, YES, n, v, d, 1, m.x, d, m.w, d, 0, m.z, v);
    if (which == 1) f(ROW_MAJOR, NO, NO, n, d, v, 1, m.z, v, m.w, d, 0, m.dx, d);
    if (which == 2) f(ROW_MAJOR, YES, NO, v, d, n, 1, m.z, v, m.x, d, 0, m.dw, d);
}

static double seconds(void) { return (double)wane_clock_ns() * 1e-9; }
static int by_size(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }

static float *random_floats(size_t count)
{
    float *x = aligned_alloc(64, (count * 4 + 63) / 64 * 64);
    uint32_t seed = 1;
    for (size_t i = 0; x && i < count; i++) seed = seed * 1664525u + 1013904223u, x[i] = (float)(int32_t)seed * 1e-10f;
    return x;
}

static uint16_t *halves_of(const float *x, size_t count)
{
    uint16_t *h = aligned_alloc(64, (count * 2 + 63) / 64 * 64);
    for (size_t i = 0; h && i < count; i++) h[i] = (uint16_t)(wane_float_bits(x[i]) >> 16);
    return h;
}

// ---- the whole loss ----

typedef struct whole { wane_plan *plan; wane_executable *executable; wane_args args; wane_binding bindings[6]; void *workspace; } whole;

static void add(whole *l, wane_operand *operands, wane_role role, wane_dtype dtype, uint32_t rank, int64_t rows, int64_t cols, void *memory)
{
    uint32_t i = l->args.binding_count++;
    operands[i] = (wane_operand){.struct_size = sizeof *operands, .role = role,
                                 .tensor = {.struct_size = sizeof(wane_tensor), .dtype = dtype, .rank = rank, .extents = {rows, cols}}};
    l->bindings[i] = (wane_binding){.struct_size = sizeof l->bindings[i], .role = role, .host = memory, .bytes = UINT64_MAX / 2};
}

static bool whole_init(whole *l, wane_context *context, const char *set, shape s, matrices *m, bool gradient)
{
    memset(l, 0, sizeof *l);
    wane_operand operands[6];
    wane_dtype type = s.half ? WANE_DTYPE_BF16 : WANE_DTYPE_F32;
    l->args.struct_size = sizeof l->args;
    l->args.bindings = l->bindings;
    add(l, operands, WANE_ROLE_INPUT, type, 2, s.rows, s.dim, s.half ? (void *)m->xh : m->x);
    add(l, operands, WANE_ROLE_LINEAR_WEIGHT, type, 2, s.cols, s.dim, s.half ? (void *)m->wh : m->w);
    add(l, operands, WANE_ROLE_TARGET, WANE_DTYPE_I32, 1, s.rows, 0, m->target);
    add(l, operands, WANE_ROLE_LOSS, WANE_DTYPE_F32, 0, 0, 0, &m->loss);
    if (gradient) {
        add(l, operands, WANE_ROLE_GRAD_INPUT, type, 2, s.rows, s.dim, m->dx);
        add(l, operands, WANE_ROLE_GRAD_LINEAR_WEIGHT, type, 2, s.cols, s.dim, m->dw);
    }
    wane_loss_desc desc = {.struct_size = sizeof desc, .loss = WANE_LOSS_LINEAR_CROSS_ENTROPY, .operands = operands,
                           .operand_count = l->args.binding_count};
    wane_device *device = NULL;
    char id[40], text[4096];
    snprintf(id, sizeof id, "cpu:%s", set);
    if (wane_device_find(context, id, &device) || wane_plan_create(device, &desc, &l->plan)
        || wane_executable_create(l->plan, &l->executable))
        return false;
    wane_plan_info info = {.struct_size = sizeof info};
    wane_plan_get_info(l->plan, &info);
    wane_plan_describe(l->plan, text, sizeof text);
    char *end = strchr(text, '\n');
    end = end ? strchr(end + 1, '\n') : NULL;
    if (end) *end = 0;
    printf("%s\n", text);
    l->workspace = aligned_alloc(64, (info.workspace_bytes + 63) / 64 * 64);
    l->args.workspace = (wane_binding){.struct_size = sizeof l->args.workspace, .host = l->workspace, .bytes = info.workspace_bytes};
    return l->workspace != NULL;
}

static void whole_fini(whole *l)
{
    wane_executable_destroy(l->executable);
    wane_plan_destroy(l->plan);
    free(l->workspace);
}

// ---- rounds ----

static void report(const char *name, double times[ROUNDS], double flops, double reference)
{
    qsort(times, ROUNDS, sizeof *times, by_size);
    double t = times[ROUNDS / 2];
    printf("%-36s %8.1f ms  (%.1f .. %.1f)  %5.0f GFLOP/s", name, t * 1e3, times[0] * 1e3, times[ROUNDS - 1] * 1e3, flops / t * 1e-9);
    if (reference > 0) printf("  %.3f of OpenBLAS", t / reference);
    printf("\n");
}

static void report_all(shape s, double times[CONTENDERS + 2][ROUNDS], bool has_blas)
{
    static const char *const names[CONTENDERS] = {"X W'", "G W", "G' X", "OpenBLAS X W'", "OpenBLAS G W", "OpenBLAS G' X",
                                                  "linear_cross_entropy", "linear_cross_entropy with gradients", "the same in f32"};
    double flops = 2.0 * s.rows * s.cols * s.dim, first = 0, sum = 0;
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < 2 * PRODUCTS; i++) times[CONTENDERS + i / PRODUCTS][r] += times[i][r];
    qsort(times[CONTENDERS + 1], ROUNDS, sizeof(double), by_size);
    qsort(times[PRODUCTS], ROUNDS, sizeof(double), by_size);
    if (has_blas) first = times[PRODUCTS][ROUNDS / 2], sum = times[CONTENDERS + 1][ROUNDS / 2];
    for (int i = 0; i < CONTENDERS; i++)
        if ((has_blas || i < PRODUCTS || i >= FORWARD) && (s.half || i != BOTH_F32))
            report(names[i], times[i], i >= BOTH ? 3 * flops : flops, i == FORWARD ? first : i >= BOTH ? sum : 0);
    if (s.half) printf("bf16 is %.2f times as fast as f32\n", times[BOTH_F32][ROUNDS / 2] / times[BOTH][ROUNDS / 2]);
    report("three products", times[CONTENDERS], 3 * flops, sum);
    if (has_blas) report("OpenBLAS three products", times[CONTENDERS + 1], 3 * flops, 0);
}

static bool measure(wane_context *context, wane_pool *pool, const wane_cpu_set *set, shape s, matrices *m, sgemm f)
{
    static double times[CONTENDERS + 2][ROUNDS];
    whole losses[3];
    shape wide = s;
    wide.half = false;
    for (int i = 0; i < (s.half ? 3 : 2); i++)
        if (!whole_init(&losses[i], context, set->name, i == 2 ? wide : s, m, i > 0)) return false;
    for (int r = -1; r < ROUNDS; r++)
        for (int i = 0; i < (s.half ? CONTENDERS : BOTH_F32); i++) {
            bool is_blas = i >= PRODUCTS && i < FORWARD;
            double t = seconds();
            if (i < PRODUCTS) product(pool, set, s, *m, i);
            else if (is_blas && f) blas(f, s, *m, i - PRODUCTS);
            else if (!is_blas && wane_run_cpu(losses[i - FORWARD].executable, &losses[i - FORWARD].args)) return false;
            if (r >= 0) times[i][r] = seconds() - t;
            for (t = seconds(); is_blas && f && seconds() - t < 0.1;) continue;      // OpenBLAS's threads spin for a while
        }
    report_all(s, times, f != NULL);
    for (int i = 0; i < (s.half ? 3 : 2); i++) whole_fini(&losses[i]);
    return true;
}

int main(int argc, char **argv)
{
    shape s = {argc > 1 ? (uint32_t)atoi(argv[1]) : 1024, argc > 2 ? (uint32_t)atoi(argv[2]) : 32768, argc > 3 ? (uint32_t)atoi(argv[3]) : 768,
               argc > 5 && strcmp(argv[5], "bf16") == 0};
    wane_context_desc desc = {.struct_size = sizeof desc, .thread_count = argc > 4 ? (uint32_t)atoi(argv[4]) : 2};
    wane_context *context = NULL;
    wane_pool *pool = NULL;
    if (wane_context_create(&desc, &context) || wane_pool_create(context, &pool)) return 1;
    size_t xs = (size_t)s.rows * s.dim, ws = (size_t)s.cols * s.dim, zs = (size_t)s.rows * s.cols;
    matrices m = {random_floats(xs), random_floats(ws), random_floats(zs), random_floats(xs), random_floats(ws), 0, NULL, NULL, NULL};
    m.xh = halves_of(m.x, xs);
    m.wh = halves_of(m.w, ws);
    m.target = malloc(s.rows * sizeof *m.target);
    for (uint32_t i = 0; i < s.rows; i++) m.target[i] = (int32_t)(i * 7919u % s.cols);
    void *library = dlopen("libopenblas.so.0", RTLD_NOW);
    sgemm f = NULL;
    if (library) *(void **)&f = dlsym(library, "cblas_sgemm");
    void (*set_threads)(int) = NULL;
    if (library) *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
    if (set_threads) set_threads((int)desc.thread_count);
    const wane_cpu_set *sets[WANE_CPU_SETS_MOST];
    uint32_t at = wane_cpu_sets(sets) - 1;
    while (argc > 6 && at > 0 && strcmp(sets[at]->name, argv[6]) != 0) at--;
    printf("rows %u, cols %u, dim %u, %s, %u threads, %s\n", s.rows, s.cols, s.dim, s.half ? "bf16" : "f32", desc.thread_count, sets[at]->name);
    bool good = measure(context, pool, sets[at], s, &m, f);
    wane_pool_destroy(pool);
    wane_context_destroy(context);
    return good ? 0 : 1;
}
