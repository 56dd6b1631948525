// product_test.c - tile_product of every instruction set against double precision: edges of 0 to 2 vectors, layouts, types,
// strides, unaligned operands that end at a page without access, gaps full of NaN, and the same bits for any split.
#include "backend/cpu/sets.h"

#include "kernels/softmax.h"
#include "kernels/tile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { MATRIX_MOST = 1 << 20, CASES = 700, GAP_NAN = 0x7fc0 };

static uint32_t seed;
static uint32_t draw(uint32_t below) { seed = seed * 1664525u + 1013904223u; return (uint32_t)((uint64_t)(seed >> 8) * below >> 24); }

// ---- memory that ends at a page without access ----

typedef struct guarded { unsigned char *map, *end; size_t bytes; } guarded;

static guarded guarded_new(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    guarded g = {mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), NULL, whole + page};
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + whole, page, PROT_NONE), 0);
    g.end = g.map + whole;
    return g;
}

static void guarded_free(guarded g) { munmap(g.map, g.bytes); }

// ---- elements of a type, by integer code of the test's own ----

static size_t bytes_of(uint32_t type) { return type == TYPE_F32 ? 4 : 2; }

static double read_cell(const unsigned char *at, uint32_t type)
{
    uint16_t h;
    float x;
    memcpy(&h, at, 2);
    if (type == TYPE_F32) memcpy(&x, at, 4);
    uint32_t word = (uint32_t)h << 16;
    if (type == TYPE_BF16) memcpy(&x, &word, 4);
    if (type != TYPE_F16) return x;
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double size = exponent == 31 ? (mantissa ? NAN : INFINITY) : exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return h >> 15 ? -size : size;
}

// Numbers that every type holds exactly: sign, 8 bits and a small exponent.
static void write_number(unsigned char *at, uint32_t type)
{
    int mantissa = 128 + (int)draw(128), exponent = (int)draw(5);
    uint32_t sign = draw(2), word = sign << 31 | (uint32_t)(exponent + 122) << 23 | (uint32_t)(mantissa & 127) << 16;
    uint16_t half = (uint16_t)(type == TYPE_BF16 ? word >> 16 : sign << 15 | (uint32_t)(exponent + 10) << 10 | (uint32_t)(mantissa & 127) << 3);
    if (type == TYPE_F32) word |= draw(1 << 16);
    if (type == TYPE_F32) memcpy(at, &word, 4);
    else memcpy(at, &half, 2);
}

// ---- a matrix: a view into memory whose every other element is NaN ----

typedef struct matrix {
    guarded memory;
    unsigned char *first;
    uint32_t type, rows, cols;
    int32_t row, col;                      // strides in elements
    size_t elems;
} matrix;

static unsigned char *cell_of(const matrix *m, uint32_t i, uint32_t j)
{
    return m->first + ((ptrdiff_t)i * m->row + (ptrdiff_t)j * m->col) * (ptrdiff_t)bytes_of(m->type);
}

// along: 0 neighbours in a row, 1 neighbours in a column, 2 neither
static matrix matrix_new(uint32_t rows, uint32_t cols, uint32_t type, uint32_t along)
{
    int32_t gap = (int32_t)draw(3) * (int32_t)draw(5), step = along == 2 ? 2 : 1;
    matrix m = {.type = type, .rows = rows, .cols = cols};
    m.col = along == 1 ? (int32_t)rows + gap : step;
    m.row = along == 1 ? 1 : ((int32_t)cols - 1) * step + 1 + gap;
    if (draw(8) == 0 && along == 0) m.row = -m.row;
    m.elems = (size_t)(rows - 1) * (size_t)abs(m.row) + (size_t)(cols - 1) * (size_t)m.col + 1;
    m.memory = guarded_new((m.elems + 8) * bytes_of(type));
    unsigned char *from = m.memory.end - m.elems * bytes_of(type);
    m.first = m.row < 0 ? from + (size_t)(rows - 1) * (size_t)-m.row * bytes_of(type) : from;
    uint16_t nan = GAP_NAN, f16_nan = 0x7e01;
    for (unsigned char *at = m.memory.map; at < m.memory.end; at += 2) memcpy(at, type == TYPE_F16 ? &f16_nan : &nan, 2);
    return m;
}

static void fill(matrix *m)
{
    for (uint32_t i = 0; i < m->rows; i++)
        for (uint32_t j = 0; j < m->cols; j++) write_number(cell_of(m, i, j), m->type);
}

// ---- one call ----

typedef struct problem {
    uint32_t rows, cols, depth, flags;
    bool has_bias;
    matrix a, b, bias, out;
    uint32_t record[64], window[8], consts[4];
    wane_cpu_call call;
} problem;

static void call_make(problem *p)
{
    uint32_t record[8] = {(uint32_t)p->a.row, (uint32_t)p->a.col, (uint32_t)p->b.row, (uint32_t)p->b.col, (uint32_t)p->out.row,
                          (uint32_t)p->out.col, (uint32_t)p->bias.col, 0};
    uint32_t ti = (p->rows + 63) / 64, tj = (p->cols + 63) / 64;
    uint32_t window[7] = {ti * tj, 0, p->rows, p->cols, p->depth, p->flags & TILE_ACROSS ? tj : ti, p->flags};
    memcpy(p->record, record, sizeof record);
    memcpy(p->window, window, sizeof window);
    p->consts[0] = p->a.type | p->b.type << TILE_SHIFT_B | p->bias.type << TILE_SHIFT_BIAS | p->out.type << TILE_SHIFT_OUT;
    p->consts[1] = (p->a.col == 1 ? TILE_A_BY_DEPTH : 0) | (p->b.col == 1 ? TILE_B_BY_DEPTH : 0) | (p->has_bias ? TILE_BIAS : 0);
    p->call = (wane_cpu_call){{(uint32_t *)(void *)p->a.first, (uint32_t *)(void *)p->b.first,
                               p->has_bias ? (uint32_t *)(void *)p->bias.first : NULL, (uint32_t *)(void *)p->out.first},
                              p->record, p->window, p->consts, false, NULL, 0};
}

static uint32_t draw_size(void)
{
    static const uint16_t sizes[] = {1, 2, 3, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 23, 31, 32, 33, 47, 63, 64, 65, 96, 100, 127, 128, 129, 200};
    return sizes[draw(sizeof sizes / sizeof *sizes)];
}

static void problem_init(problem *out, uint32_t at)
{
    problem p = {.rows = draw_size(), .cols = draw_size(), .depth = draw_size()};
    if (at % 8 == 0) p.depth = 200 + draw(900);
    if (at % 40 == 1) p.rows = 190 + draw(420);
    if (at % 40 == 2) p.cols = 1020 + draw(40), p.depth = 1 + draw(20);
    p.flags = (draw(2) ? TILE_ADD : 0) | (draw(2) ? TILE_ACROSS : 0) | (draw(3) == 0 ? TILE_MAY_ROUND : 0);
    p.has_bias = draw(2) == 0;
    uint32_t type = draw(3), other = draw(3) == 0 ? draw(3) : type;
    p.a = matrix_new(p.rows, p.depth, type, draw(20) == 0 ? 2 : draw(2));
    p.b = matrix_new(p.cols, p.depth, other, draw(20) == 0 ? 2 : draw(2));
    p.bias = matrix_new(1, p.cols, draw(3), draw(3) == 0 ? 2 : 0);
    p.out = matrix_new(p.rows, p.cols, draw(3) == 0 ? draw(3) : TYPE_F32, draw(6) == 0 ? draw(3) : 0);
    fill(&p.a), fill(&p.b), fill(&p.bias);
    if (p.flags & TILE_ADD) fill(&p.out);
    *out = p;
    call_make(out);
}

static void problem_free(problem *p)
{
    guarded_free(p->a.memory), guarded_free(p->b.memory), guarded_free(p->bias.memory), guarded_free(p->out.memory);
}

// ---- the judge ----

static bool cell_good(const problem *p, const unsigned char *before, uint32_t i, uint32_t j)
{
    double want = 0, size = 0;
    for (uint32_t k = 0; k < p->depth; k++) {
        double x = read_cell(cell_of(&p->a, i, k), p->a.type) * read_cell(cell_of(&p->b, j, k), p->b.type);
        want += x, size += fabs(x);
    }
    double more[2] = {p->flags & TILE_ADD ? read_cell(before, p->out.type) : 0, p->has_bias ? read_cell(cell_of(&p->bias, 0, j), p->bias.type) : 0};
    double allowed = ((p->depth < 1040 ? p->depth : 1040) + 4) * 0x1p-24 * (size + fabs(more[0]) + fabs(more[1]));
    bool halves = p->a.type == TYPE_BF16 || p->b.type == TYPE_BF16;
    if (p->flags & TILE_MAY_ROUND && halves && p->a.type != p->b.type) allowed += 0x1p-8 * size;
    want += more[0] + more[1];
    if (p->out.type != TYPE_F32) allowed += (p->out.type == TYPE_F16 ? 0x1p-11 : 0x1p-8) * (fabs(want) + allowed) + 0x1p-24;
    double got = read_cell(cell_of(&p->out, i, j), p->out.type);
    if (p->out.type == TYPE_F16 && fabs(want) > 65504) return isinf(got) || fabs(got - want) <= allowed;
    return fabs(got - want) <= allowed;
}

static void run_in_parts(wane_cpu_kernel kernel, const problem *p, uint32_t parts)
{
    uint32_t items = p->window[0];
    for (uint32_t begin = 0; begin < items;) {
        uint32_t end = parts == 1 ? items : begin + 1 + draw(items - begin);
        kernel(&p->call, begin, end);
        begin = end;
    }
}

static void check_case(const wane_cpu_set *set, uint32_t at)
{
    seed = at * 7919u + 3u;
    problem p;
    problem_init(&p, at);
    size_t bytes = (size_t)(p.out.memory.end - p.out.memory.map);
    unsigned char *before = malloc(bytes), *whole = malloc(bytes), *touched = calloc(bytes, 1);
    assert_true(before && whole && touched);
    memcpy(before, p.out.memory.map, bytes);
    wane_cpu_kernel kernel = set->kernels[WANE_KERNEL_TILE_PRODUCT];
    run_in_parts(kernel, &p, 1);
    memcpy(whole, p.out.memory.map, bytes);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < p.rows; i++)
        for (uint32_t j = 0; j < p.cols; j++) {
            size_t offset = (size_t)(cell_of(&p.out, i, j) - p.out.memory.map);
            memset(touched + offset, 1, bytes_of(p.out.type));
            if (!cell_good(&p, before + offset, i, j) && wrong++ == 0)
                print_error("%s, case %u: %u x %u x %u, types %x, flags %u: cell %u, %u is %g\n", set->name, at, p.rows, p.cols, p.depth,
                            p.consts[0], p.flags, i, j, read_cell(cell_of(&p.out, i, j), p.out.type));
        }
    assert_int_equal(wrong, 0);
    for (size_t i = 0; i < bytes; i++)
        if (!touched[i] && whole[i] != before[i]) wrong++;
    if (wrong) print_error("%s, case %u: %u bytes between the cells were written\n", set->name, at, wrong);
    assert_int_equal(wrong, 0);
    memcpy(p.out.memory.map, before, bytes);
    run_in_parts(kernel, &p, 2);
    if (memcmp(p.out.memory.map, whole, bytes) != 0) fail_msg("%s, case %u: other bits when the items are split", set->name, at);
    free(before), free(whole), free(touched);
    problem_free(&p);
}

static void test_cases(void **state)
{
    (void)state;
    const wane_cpu_set *sets[WANE_CPU_SETS_MOST];
    uint32_t count = wane_cpu_sets(sets);
    for (uint32_t s = 0; s < count; s++)
        for (uint32_t i = 0; i < CASES; i++) check_case(sets[s], i);
}

// A NaN or an infinity in a row of a spoils that row of the output, and no other.
static void test_special(void **state)
{
    (void)state;
    const wane_cpu_set *sets[WANE_CPU_SETS_MOST];
    uint32_t count = wane_cpu_sets(sets);
    for (uint32_t s = 0; s < count; s++)
        for (uint32_t i = 0; i < 120; i++) {
            seed = i;
            problem p;
            problem_init(&p, 3 + i * 8);
            static const uint32_t words[3][3] = {{0x7fc00000u, 0x7f800000u, 0xff800000u}, {0x7e00u, 0x7c00u, 0xfc00u}, {0x7fc0u, 0x7f80u, 0xff80u}};
            uint32_t row = draw(p.rows), at = draw(p.depth), kind = draw(3);
            memcpy(cell_of(&p.a, row, at), &words[p.a.type][kind], bytes_of(p.a.type));
            run_in_parts(sets[s]->kernels[WANE_KERNEL_TILE_PRODUCT], &p, 2);
            for (uint32_t r = 0; r < p.rows; r++)
                for (uint32_t c = 0; c < p.cols; c++) {
                    double got = read_cell(cell_of(&p.out, r, c), p.out.type);
                    bool minus = read_cell(cell_of(&p.b, c, at), p.b.type) < 0;
                    if (r != row) assert_true(isfinite(got) || p.out.type == TYPE_F16);
                    else if (kind == 0) assert_true(isnan(got));
                    else assert_true(isinf(got) && (got < 0) == (minus != (kind == 2)));
                }
            problem_free(&p);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_special)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
