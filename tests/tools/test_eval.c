// test_eval.c - wane-eval on good input: values against closed forms, types, shapes, what is printed.
#include "command.h"

#include "common/half.h"
#include "common/npy.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EVAL TEST_EVAL " "
#define PROBLEM " --device cpu --in logits=logits.npy --in target=target.npy "

// lse - x_y of a row, in double.
static double row_loss(const float *row, int cols, int64_t target)
{
    double sum = 0;
    for (int j = 0; j < cols; j++) sum += exp((double)row[j] - (double)row[target]);
    return log(sum);
}

static double probability(const float *row, int cols, int j)
{
    double sum = 0;
    for (int k = 0; k < cols; k++) sum += exp((double)row[k] - (double)row[j]);
    return 1 / sum;
}

static double expected_loss(void)
{
    double sum = 0;
    for (int i = 0; i < 3; i++) sum += row_loss(command_logits + 4 * i, 4, command_target[i]);
    return sum / 3;
}

static void assert_near(double value, double want, double tolerance)
{
    if (!(fabs(value - want) <= tolerance)) fail_msg("%.9g is not %.9g", value, want);
}

static double first(const char *path)
{
    tool_array a;
    command_load(path, &a);
    double value = tool_array_real(&a, 0);
    tool_array_free(&a);
    return value;
}

static void test_printed_loss(void **state)
{
    (void)state;
    double value;
    assert_int_equal(command_run(EVAL "cross_entropy" PROBLEM), 0);
    assert_int_equal(sscanf(command_out, "loss = %lf\n", &value), 1);
    assert_near(value, expected_loss(), 1e-6);
    assert_string_equal(command_err, "");
    assert_int_equal(command_run(EVAL "cross_entropy --param reduction=none" PROBLEM), 0);
    assert_printed("loss = [1.44018");
    assert_int_equal(command_run(EVAL "comp_sum --param tau=1" PROBLEM), 0);
    assert_int_equal(sscanf(command_out, "loss = %lf\n", &value), 1);
    assert_near(value, expected_loss(), 1e-6);
}

static void test_outputs(void **state)
{
    (void)state;
    tool_array a;
    assert_int_equal(
        command_run(EVAL "cross_entropy" PROBLEM
                         "--out loss=loss.npy --out grad_logits=grad.npy --out argmax=argmax.npy --out lse=lse.npy "
                         "--out valid_count=count.npy --out accuracy=accuracy.npy --out row_loss=rows.npy "
                         "--out entropy=entropy.npy --out status=status.npy --out statistics=statistics.npy"),
        0);
    assert_printed("loss = ");
    assert_printed("valid_count = 3\n");
    assert_printed("accuracy = 0.33333334\n");
    assert_int_equal(command_count("tmp"), 0);
    command_load("loss.npy", &a);
    assert_true(a.rank == 0 && a.dtype == WANE_DTYPE_F32);
    assert_near(tool_array_real(&a, 0), expected_loss(), 1e-6);
    tool_array_free(&a);
    command_load("grad.npy", &a);
    assert_true(a.rank == 2 && a.extents[0] == 3 && a.extents[1] == 4 && a.dtype == WANE_DTYPE_F32);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++)
            assert_near(tool_array_real(&a, 4 * i + j),
                        (probability(command_logits + 4 * i, 4, j) - (j == command_target[i])) / 3, 1e-6);
    tool_array_free(&a);
    command_load("argmax.npy", &a);
    assert_true(a.rank == 1 && a.extents[0] == 3 && a.dtype == WANE_DTYPE_I64);
    assert_int_equal(tool_array_integer(&a, 0), 3);
    assert_int_equal(tool_array_integer(&a, 2), 1);
    tool_array_free(&a);
    command_load("count.npy", &a);
    assert_true(a.rank == 0 && a.dtype == WANE_DTYPE_I64 && tool_array_integer(&a, 0) == 3);
    tool_array_free(&a);
    command_load("status.npy", &a);
    assert_true(a.rank == 1 && a.extents[0] == 8 && a.dtype == WANE_DTYPE_U32);
    tool_array_free(&a);
    command_load("statistics.npy", &a);
    assert_true(a.rank == 2 && a.extents[0] == 4 && a.extents[1] == 3 && a.dtype == WANE_DTYPE_F32);
    tool_array_free(&a);
    command_load("rows.npy", &a);
    assert_near(tool_array_real(&a, 1), row_loss(command_logits + 4, 4, 3), 1e-6);
    tool_array_free(&a);
}

static void test_reduction_none(void **state)
{
    (void)state;
    tool_array a;
    const float upstream[3] = {2, 0, -1};
    command_save("upstream.npy", WANE_DTYPE_F32, 1, (const int64_t[]){3}, upstream);
    assert_int_equal(command_run(EVAL "cross_entropy --param reduction=none --in upstream=upstream.npy" PROBLEM
                                 "--out loss=none.npy --out grad_logits=none_grad.npy"), 0);
    command_load("none.npy", &a);
    assert_true(a.rank == 1 && a.extents[0] == 3);
    assert_near(tool_array_real(&a, 2), row_loss(command_logits + 8, 4, 0), 1e-5);
    tool_array_free(&a);
    command_load("none_grad.npy", &a);
    assert_near(tool_array_real(&a, 0), 2 * probability(command_logits, 4, 0), 1e-6);
    assert_near(tool_array_real(&a, 4), 0, 0);
    tool_array_free(&a);
}

// A scalar operand may have the shape () or (1,).
static void test_scalar_input(void **state)
{
    (void)state;
    const float upstream = 0.5f;
    command_save("scalar.npy", WANE_DTYPE_F32, 0, NULL, &upstream);
    command_save("one.npy", WANE_DTYPE_F32, 1, (const int64_t[]){1}, &upstream);
    assert_int_equal(command_run(EVAL "cross_entropy --in upstream=scalar.npy" PROBLEM "--out grad_logits=s.npy"), 0);
    assert_int_equal(command_run(EVAL "cross_entropy --in upstream=one.npy" PROBLEM "--out grad_logits=o.npy"), 0);
    assert_int_equal(command_run("cmp s.npy o.npy"), 0);
    assert_near(first("s.npy"), 0.5 * probability(command_logits, 4, 0) / 3, 1e-6);
}

static void test_target_types(void **state)
{
    (void)state;
    const int32_t i32[3] = {2, 3, 0};
    const uint32_t u32[3] = {2, 3, 0};
    const uint8_t u8[3] = {2, 3, 0};
    command_save("i32.npy", WANE_DTYPE_I32, 1, (const int64_t[]){3}, i32);
    command_save("u32.npy", WANE_DTYPE_U32, 1, (const int64_t[]){3}, u32);
    command_save("u8.npy", TOOL_DTYPE_U8, 1, (const int64_t[]){3}, u8);
    assert_int_equal(command_run(EVAL "cross_entropy" PROBLEM "--out row_loss=i64.row"), 0);
    static const char *const names[] = {"i32", "u32", "u8"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(command_run(EVAL "cross_entropy --device cpu --in logits=logits.npy --in target=%s.npy "
                                     "--out row_loss=%s.row", names[i], names[i]), 0);
        assert_int_equal(command_run("cmp i64.row %s.row", names[i]), 0);
    }
}

static void test_statistics(void **state)
{
    (void)state;
    static const char *const options[] = {"", "--param label_smoothing=0.25",
                                          "--param temperature=2 --param z_loss=0.5"};
    for (int i = 0; i < 3; i++) {
        tool_array a, b;
        assert_int_equal(command_run(EVAL "cross_entropy %s" PROBLEM
                                          "--out statistics=st.npy --out grad_logits=both.npy",
                                     options[i]),
                         0);
        assert_int_equal(command_run(EVAL "cross_entropy %s --in statistics=st.npy" PROBLEM
                                          "--out grad_logits=back.npy",
                                     options[i]),
                         0);
        command_load("both.npy", &a);
        command_load("back.npy", &b);
        for (int j = 0; j < 12; j++) assert_near(tool_array_real(&b, j), tool_array_real(&a, j), 1e-6);
        tool_array_free(&a);
        tool_array_free(&b);
    }
    // planes beyond the least: those of the entropy
    tool_array a;
    assert_int_equal(command_run(EVAL "cross_entropy --statistics-mask 0x1f" PROBLEM "--out statistics=more.npy"), 0);
    command_load("more.npy", &a);
    assert_int_equal(a.extents[0], 5);
    tool_array_free(&a);
    // planes that nobody made are no loss of 0
    const float zeros[12] = {0};
    command_save("zeros.npy", WANE_DTYPE_F32, 2, (const int64_t[]){4, 3}, zeros);
    assert_int_equal(command_run(EVAL "cross_entropy --in statistics=zeros.npy" PROBLEM), 0);
    assert_printed("loss = nan");
    assert_said("3 rows with NaN");
}

static void test_accumulate(void **state)
{
    (void)state;
    tool_array a, b;
    float start[12];
    for (int i = 0; i < 12; i++) start[i] = (float)i;
    command_save("start.npy", WANE_DTYPE_F32, 2, (const int64_t[]){3, 4}, start);
    assert_int_equal(command_run(EVAL "cross_entropy" PROBLEM "--out grad_logits=g.npy"), 0);
    assert_int_equal(
        command_run(EVAL "cross_entropy" PROBLEM "--out grad_logits=sum.npy --accumulate grad_logits=start.npy"), 0);
    command_load("g.npy", &a);
    command_load("sum.npy", &b);
    for (int i = 0; i < 12; i++) assert_near(tool_array_real(&b, i), start[i] + tool_array_real(&a, i), 1e-6);
    tool_array_free(&a);
    tool_array_free(&b);
}

static void test_data_faults(void **state)
{
    (void)state;
    const int64_t target[3] = {2, 9, -3};
    float logits[12];
    memcpy(logits, command_logits, sizeof logits);
    logits[1] = NAN;
    command_save("badt.npy", WANE_DTYPE_I64, 1, (const int64_t[]){3}, target);
    command_save("nan.npy", WANE_DTYPE_F32, 2, (const int64_t[]){3, 4}, logits);
    assert_int_equal(
        command_run(EVAL "cross_entropy --device cpu --in logits=nan.npy --in target=badt.npy --out loss=f.npy"), 0);
    assert_said("warning: the data has faults: 2 bad targets or labels, 1 row with NaN or infinity\n");
    assert_true(command_exists("f.npy"));
    assert_int_equal(command_run(EVAL "cross_entropy --strict --device cpu --in logits=nan.npy --in target=badt.npy "
                                 "--out loss=strict.npy"), 1);
    assert_said("2 bad targets or labels");
    assert_false(command_exists("strict.npy"));
    assert_int_equal(command_run(EVAL "cross_entropy --strict" PROBLEM), 0);
}

static void test_empty(void **state)
{
    (void)state;
    command_save("norows.npy", WANE_DTYPE_F32, 2, (const int64_t[]){0, 4}, NULL);
    command_save("notarget.npy", WANE_DTYPE_I64, 1, (const int64_t[]){0}, NULL);
    assert_int_equal(command_run(EVAL "cross_entropy --device cpu --in logits=norows.npy --in target=notarget.npy "
                                 "--out loss=e.npy --out grad_logits=eg.npy --out argmax=ea.npy"), 0);
    tool_array a;
    command_load("eg.npy", &a);
    assert_true(a.rank == 2 && a.extents[0] == 0 && a.extents[1] == 4);
    tool_array_free(&a);
    assert_near(first("e.npy"), 0, 0);
}

// Half types: the loss is of the words as stored, a gradient has their type, or that of what it accumulates to.
static void test_half_input(void **state)
{
    (void)state;
    uint16_t f16[12], bf16[12];
    for (int i = 0; i < 12; i++) {
        f16[i] = tool_f16_of_f32(command_logits[i]);
        bf16[i] = tool_bf16_of_f32(command_logits[i]);
    }
    command_save("f16.npy", WANE_DTYPE_F16, 2, (const int64_t[]){3, 4}, f16);
    command_save("bf16.npy", WANE_DTYPE_BF16, 2, (const int64_t[]){3, 4}, bf16);
    static const char *const files[] = {"f16.npy", "bf16.npy --dtype bf16"};
    const float zeros[12] = {0};
    command_save("zeros.npy", WANE_DTYPE_F32, 2, (const int64_t[]){3, 4}, zeros);
    for (int i = 0; i < 2; i++) {
        tool_array a;
        char error[512];
        assert_int_equal(command_run(EVAL "cross_entropy --device cpu --in target=target.npy --out loss=hl.npy "
                                     "--out grad_logits=h.npy --in logits=%s", files[i]), 0);
        assert_near(first("hl.npy"), expected_loss(), 1e-6);   // these logits are the same in both types
        if (!npy_read("h.npy", i ? NPY_BF16 : 0, &a, error, sizeof error)) fail_msg("%s", error);
        assert_int_equal(a.dtype, i ? WANE_DTYPE_BF16 : WANE_DTYPE_F16);
        assert_near(tool_array_real(&a, 0), probability(command_logits, 4, 0) / 3, i ? 1e-4 : 1e-5);
        tool_array_free(&a);
        assert_int_equal(command_run(EVAL "cross_entropy --device cpu --in target=target.npy --out grad_logits=h.npy "
                                     "--accumulate grad_logits=zeros.npy --in logits=%s", files[i]), 0);
        command_load("h.npy", &a);
        assert_int_equal(a.dtype, WANE_DTYPE_F32);
        assert_near(tool_array_real(&a, 0), probability(command_logits, 4, 0) / 3, 1e-6);
        tool_array_free(&a);
    }
}

// Axes after the class axis: logits [1, 4, 3] and [1, 4, 3, 1] hold the same three rows.
static void test_class_axis(void **state)
{
    (void)state;
    float turned[12];
    for (int i = 0; i < 12; i++) turned[i % 4 * 3 + i / 4] = command_logits[i];
    for (uint32_t extra = 1; extra <= 2; extra++) {
        tool_array a;
        command_save("turned.npy", WANE_DTYPE_F32, 2 + extra, (const int64_t[]){1, 4, 3, 1}, turned);
        command_save("labels.npy", WANE_DTYPE_I64, 1 + extra, (const int64_t[]){1, 3, 1}, command_target);
        assert_int_equal(command_run(EVAL "cross_entropy --device cpu --in logits=turned.npy --in target=labels.npy "
                                     "--out loss=tl.npy --out grad_logits=tg.npy --out row_loss=tr.npy "
                                     "--out statistics=ts.npy"), 0);
        assert_near(first("tl.npy"), expected_loss(), 1e-6);
        command_load("tr.npy", &a);
        assert_true(a.rank == 1 + extra && a.extents[0] == 1 && a.extents[1] == 3);
        assert_near(tool_array_real(&a, 1), row_loss(command_logits + 4, 4, 3), 1e-6);
        tool_array_free(&a);
        command_load("tg.npy", &a);
        assert_true(a.rank == 2 + extra && a.extents[1] == 4 && a.extents[2] == 3);
        assert_near(tool_array_real(&a, 1), probability(command_logits + 4, 4, 0) / 3, 1e-6);
        tool_array_free(&a);
        assert_int_equal(command_run(EVAL "cross_entropy --device cpu --in logits=turned.npy --in target=labels.npy "
                                     "--in statistics=ts.npy --out grad_logits=tb.npy"), 0);
        assert_int_equal(command_run("cmp -n 128 tg.npy tb.npy"), 0);       // the header: same shape and type
        assert_near(first("tb.npy"), first("tg.npy"), 1e-6);
    }
}

static void test_files(void **state)
{
    (void)state;
    // an output replaces what was there; special files are written in place
    command_bytes("old.npy", "old", 3);
    assert_int_equal(command_run(EVAL "cross_entropy" PROBLEM "--out loss=old.npy --out lse=/dev/null"), 0);
    assert_near(first("old.npy"), expected_loss(), 1e-6);
    assert_int_equal(command_run("test -c /dev/null"), 0);
    // an input may be replaced: it was read before
    assert_int_equal(command_run("cp logits.npy own.npy"), 0);
    assert_int_equal(
        command_run(EVAL
                    "cross_entropy --device cpu --in logits=own.npy --in target=target.npy --out grad_logits=own.npy"),
        0);
    assert_near(first("own.npy"), probability(command_logits, 4, 0) / 3, 1e-6);
    // from a pipe
    assert_int_equal(command_run("cat logits.npy | " EVAL
                                 "cross_entropy --device cpu --in logits=/dev/stdin --in target=target.npy"),
                     0);
    assert_printed("loss = ");
    assert_int_equal(command_count("tmp"), 0);
}

// A shard of a split vocabulary: class weights are those of all columns, and say nothing of how many this call has.
static void test_shard(void **state)
{
    (void)state;
    const float input[6] = {1, 0, 0, 1, 1, 1}, head[8] = {1, 2, 3, 4, 5, 6, 7, 8}, weight[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    command_save("input.npy", WANE_DTYPE_F32, 2, (const int64_t[]){3, 2}, input);
    command_save("head.npy", WANE_DTYPE_F32, 2, (const int64_t[]){4, 2}, head);
    command_save("weight.npy", WANE_DTYPE_F32, 1, (const int64_t[]){10}, weight);
    const char *shard = EVAL "linear_cross_entropy --device cpu --param total_cols=10 --in weight=weight.npy --in input=input.npy "
                             "--in linear_weight=head.npy --in target=target.npy ";
    assert_int_equal(command_run("%s --out statistics=shard.npy", shard), 0);
    assert_int_equal(command_run("%s --in statistics=shard.npy --out grad_linear_weight=gradhead.npy", shard), 0);
    tool_array a;
    command_load("gradhead.npy", &a);
    assert_int_equal(a.rank, 2);
    assert_int_equal(a.extents[0], 4);
    assert_int_equal(a.extents[1], 2);
    tool_array_free(&a);
    assert_int_equal(command_run(EVAL "--describe linear_cross_entropy"), 0);
    assert_printed("[total=cols] is [total_cols] where that parameter is given");
}

static void test_plan(void **state)
{
    (void)state;
    assert_int_equal(command_run(EVAL "cross_entropy --plan" PROBLEM "--out grad_logits=planned.npy"), 0);
    assert_printed("workspace");
    assert_false(command_exists("planned.npy"));
}

static void test_registry(void **state)
{
    (void)state;
    const wane_loss_info *loss;
    assert_int_equal(command_run(EVAL "--list --json"), 0);
    cJSON *json = cJSON_Parse(command_out);
    assert_non_null(json);
    cJSON *losses = cJSON_GetObjectItemCaseSensitive(json, "losses");
    for (uint32_t i = 0; (loss = wane_loss_at(i)) != NULL; i++) {
        cJSON *row = cJSON_GetArrayItem(losses, (int)i);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "name")), loss->name);
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(row, "roles")), loss->role_count);
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(row, "params")), loss->param_count);
    }
    cJSON_Delete(json);
    assert_int_equal(command_run(EVAL "--list"), 0);
    for (uint32_t i = 0; (loss = wane_loss_at(i)) != NULL; i++) assert_printed(loss->name);
    for (uint32_t i = 0; (loss = wane_loss_at(i)) != NULL; i++) {
        assert_int_equal(command_run(EVAL "--describe %s", loss->name), 0);
        assert_printed(loss->formula);
        // what is explained is there, and the other way round
        static const char *const shapes[] = {"[reduced]", "[reduced=groups]", "[reduced=pairs]", "[total=cols]"};
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            char explained[32];
            snprintf(explained, sizeof explained, "\n  %s is ", shapes[s]);
            bool used = false;
            const wane_role_info *role;
            for (uint32_t r = 0; (role = wane_loss_role_at(loss, r)) != NULL; r++)
                used = used || (strlen(role->shape) == strlen(shapes[s]) - 2 && strstr(shapes[s], role->shape));
            if (used != (strstr(command_out, explained) != NULL)) fail_msg("%s: %s", loss->name, shapes[s]);
        }
        assert_int_equal(command_run(EVAL "%s --describe --json", loss->name), 0);
        json = cJSON_Parse(command_out);
        assert_non_null(json);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "formula")), loss->formula);
        cJSON_Delete(json);
    }
}

// A compiler that works for seconds is told of, one that does not is not.
static void test_waiting(void **state)
{
    (void)state;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    int code = command_run("rm -rf .empty; mkdir .empty; POCL_CACHE_DIR=$PWD/.empty " EVAL
                           "cross_entropy --device opencl --in logits=logits.npy --in target=target.npy --out grad_logits=g.npy");
    clock_gettime(CLOCK_MONOTONIC, &to);
    if (code == 3) skip();                  // no such device here
    assert_int_equal(code, 0);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
    if (seconds > 5) assert_said("takes seconds");
    if (seconds < 1) assert_string_equal(command_err, "");
    assert_int_equal(command_run(EVAL "cross_entropy --device cpu" PROBLEM), 0);
    assert_string_equal(command_err, "");
}

// Each device of this machine gives the same numbers.
static void test_devices(void **state)
{
    (void)state;
    assert_int_equal(command_run(TEST_INFO " --json"), 0);
    cJSON *json = cJSON_Parse(command_out), *device;
    assert_non_null(json);
    cJSON_ArrayForEach(device, cJSON_GetObjectItemCaseSensitive(json, "devices")) {
        const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(device, "id"));
        if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(device, "usable"))) continue;
        assert_int_equal(command_run(EVAL "cross_entropy --device %s --in logits=logits.npy --in target=target.npy "
                                     "--out loss=dev.npy --out grad_logits=devg.npy", id), 0);
        assert_near(first("dev.npy"), expected_loss(), 1e-6);
        assert_near(first("devg.npy"), probability(command_logits, 4, 0) / 3, 1e-6);
        assert_int_equal(command_run("WANE_DEVICE=%s " EVAL
                                     "cross_entropy --in logits=logits.npy --in target=target.npy --plan",
                                     id),
                         0);
        assert_printed(id);
    }
    cJSON_Delete(json);
}

int main(void)
{
    command_start("eval");
    command_problem();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_printed_loss), cmocka_unit_test(test_outputs),      cmocka_unit_test(test_reduction_none),
        cmocka_unit_test(test_scalar_input), cmocka_unit_test(test_target_types), cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_accumulate),   cmocka_unit_test(test_data_faults),  cmocka_unit_test(test_empty),
        cmocka_unit_test(test_half_input),   cmocka_unit_test(test_class_axis),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_plan),         cmocka_unit_test(test_registry),     cmocka_unit_test(test_waiting), cmocka_unit_test(test_devices),
        cmocka_unit_test(test_shard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
