// float_mode_test.c - the CPU's kernels round in one way, whatever mode the calling thread is in, and it gets its mode back.
#include "support.h"

#include <fenv.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

enum { ROWS = 9, COLS = 3000 };

static void begin_problem(test_problem *p, wane_context *context)
{
    test_problem_begin(p, context, WANE_LOSS_CROSS_ENTROPY, ROWS, COLS);
    test_problem_add_inputs(p, false);
    test_problem_add_outputs(p);
}

static wane_executable *executable_of(wane_context *context, test_problem *p)
{
    begin_problem(p, context);
    wane_plan_info info;
    wane_executable *executable = test_executable(test_device(context, "cpu"), p, &info);
    test_problem_memory(p, info.workspace_bytes, TEST_PLAIN);
    test_problem_fill(p);
    return executable;
}

// Two threads, of which the caller's alone is in another mode.
static void test_modes(void **state)
{
    (void)state;
    static const int modes[] = {
        FE_TONEAREST,
#ifdef FE_UPWARD
        FE_UPWARD,
#endif
#ifdef FE_TOWARDZERO
        FE_TOWARDZERO,
#endif
    };
    wane_context *context = test_context(NULL, NULL, 2);
    test_problem p;
    wane_executable *executable = executable_of(context, &p);
    uint64_t want = 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        test_problem_fill(&p);
        assert_int_equal(fesetround(modes[i]), 0);
        wane_status status = wane_run_cpu(executable, &p.args);
        int after = fegetround();
        fesetround(FE_TONEAREST);
        assert_int_equal(status, WANE_OK);
        assert_int_equal(after, modes[i]);
        if (i == 0) want = test_problem_hash(&p);
        assert_true(test_problem_hash(&p) == want);
    }
#if defined(__SSE2__)
    unsigned usual = _mm_getcsr();
    test_problem_fill(&p);
    _mm_setcsr(usual | 0x8040);            // as some engines run: small numbers are 0
    wane_status status = wane_run_cpu(executable, &p.args);
    unsigned after = _mm_getcsr();
    _mm_setcsr(usual);
    assert_int_equal(status, WANE_OK);
    assert_int_equal(after & 0x8040, 0x8040);
    assert_true(test_problem_hash(&p) == want);
#endif
    wane_executable_destroy(executable);
    test_problem_end(&p);
    wane_context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_modes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
