// test_bench.c - wane-bench: shapes, tuning records and wrong usage. Its figures are no test's.
#include "command.h"

#include <string.h>

#define BENCH TEST_BENCH " --device cpu --threads 1 "

static void test_shapes(void **state)
{
    (void)state;
    assert_int_equal(command_run(BENCH "--shape rows=0,cols=5"), 2);
    assert_said("write rows=4096,cols=32768, each from 1 to");
    assert_int_equal(command_run(BENCH "--op clip --shape rows=5"), 2);
    assert_said("write rows=4096,dim=512,cols=4096, each");
    assert_int_equal(command_run(BENCH "--op pairwise_rank --shape groups=2"), 2);
    assert_said("write items=500000,groups=1000, each");
    static const char *const pairs[] = {"bpr", "margin_ranking"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(command_run(BENCH "--op %s --shape pairs=2", pairs[i]), 2);
        assert_said("write items=500000,pairs=500000, each");
        assert_int_equal(command_run(BENCH "--op %s --shape items=9,groups=3", pairs[i]), 2);
        assert_said("takes no groups here; write items=500000,pairs=500000");
    }
    assert_int_equal(command_run(BENCH "--op auc_margin --shape items=9,groups=3"), 2);
    assert_said("auc_margin takes no groups here; write items=500000\n");
    assert_int_equal(command_run(BENCH "--op pairwise_rank --shape items=9,pairs=3"), 2);
    assert_said("pairwise_rank takes no pairs here; write items=500000,groups=1000");
}

// Those of mann_whitney are the groups of a parameter.
static void test_groups(void **state)
{
    (void)state;
    assert_int_equal(command_run(BENCH "--quick --op mann_whitney --shape items=90,groups=3"), 2);
    assert_said("takes no groups here");
    assert_int_equal(command_run(BENCH "--quick --op mann_whitney --param scope=group --shape items=90,groups=3"), 0);
    assert_printed("groups=3");
    assert_int_equal(command_run(BENCH "--quick --op bpr --shape items=90,pairs=30"), 0);
    assert_printed("pairs=30");
    assert_int_equal(command_run(BENCH "--quick --op auc_margin"), 0);
    assert_printed("items=2000");
}

static void test_tuning(void **state)
{
    (void)state;
    command_bytes("empty", "", 0);
    assert_int_equal(command_run(BENCH "--quick --tuning empty"), 1);
    assert_said("--tuning empty: is empty");
    assert_string_equal(command_out, "");
    command_bytes("blank", "\n", 1);
    assert_int_equal(command_run(BENCH "--quick --tuning blank"), 1);
    assert_said("no tuning record");
    assert_int_equal(command_run(BENCH "--quick --tuning none"), 1);
    assert_said("--tuning none: ");
}

static void test_tune(void **state)
{
    (void)state;
    assert_int_equal(command_run(BENCH "--seconds 0 --tune none/such"), 1);
    assert_said("--tune none/such: ");
    assert_string_equal(command_out, "");               // nothing was measured
    static const char *const others[] = {"op bpr", "shape rows=5,cols=5", "quick", "dtype f16", "param sigma=1", "json f",
                                         "cache hot", "tuning f"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        char named[32] = "without --";
        strncat(named, others[i], strcspn(others[i], " "));
        assert_int_equal(command_run(BENCH "--tune record --%s", others[i]), 2);
        assert_said(named);
        assert_int_equal(command_run(BENCH "--%s --tune record", others[i]), 2);
        assert_said(named);
    }
    assert_false(command_exists("record"));
    assert_false(command_exists("f"));
}

int main(void)
{
    command_start("bench");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_tuning),
        cmocka_unit_test(test_tune),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
