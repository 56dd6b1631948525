// absent.c - a machine without drivers: the library loads, lists the CPU alone, says why there is no more, and works.
//
//     absent      to be run where the environment hides loaders or drivers (see CMakeLists.txt)
#include "support.h"

#include <stdio.h>

static void test_absent(void **state)
{
    (void)state;
    test_log log;
    wane_context *context = test_context(&log, NULL, 1);
    assert_int_equal(wane_device_count(context), 1);
    wane_device *device = NULL;
    static const char *const names[] = {"vulkan", "vulkan:0", "opencl", "opencl:0"};
    for (int i = 0; i < 4; i++) {
        expect_error(&log, WANE_ERROR_NO_DEVICE, "device", wane_device_find(context, names[i], &device));
        assert_null(device);
    }
    assert_int_equal(wane_device_find(context, "auto", &device), WANE_OK);
    test_problem p;
    test_problem_begin(&p, context, WANE_LOSS_CROSS_ENTROPY, 3, 5);
    test_problem_add_inputs(&p, false);
    test_problem_add(&p, WANE_ROLE_LOSS);
    test_problem_memory(&p, 1 << 16, TEST_PLAIN);
    wane_executable *executable = test_executable(device, &p, NULL);
    assert_int_equal(wane_run(executable, NULL, &p.args), WANE_OK);
    assert_true(*test_f32(&p, WANE_ROLE_LOSS) > 0);
    wane_executable_destroy(executable);
    test_problem_end(&p);
    wane_context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_absent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
