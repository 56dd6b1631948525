// cmocka.h - as much of cmocka as simd/softmax_test.c and unit/support.c use, for machines that have none to link with: a
// cross build under an emulator. The first failure ends the program.
#ifndef WANE_STAND_IN_CMOCKA_H
#define WANE_STAND_IN_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>

#define STAND_IN_CHECK(good, text) \
    ((good) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, text), exit(1)))
#define assert_true(x) STAND_IN_CHECK(x, #x)
#define assert_non_null(x) STAND_IN_CHECK((x) != NULL, #x)
#define assert_int_equal(a, b) STAND_IN_CHECK((a) == (b), #a " is not " #b)
#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), fprintf(stderr, "\n"), exit(1))

struct CMUnitTest { const char *name; void (*run)(void **state); };
#define cmocka_unit_test(test) {#test, test}
#define cmocka_run_group_tests(tests, setup, teardown) stand_in_run(tests, sizeof(tests) / sizeof(tests)[0])

static inline int stand_in_run(const struct CMUnitTest *tests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("%s\n", tests[i].name);
        tests[i].run(NULL);
    }
    return 0;
}

#endif
