// registry_test.c - the registry as data, names of statuses and types, the version.
#include "support.h"

#include <math.h>
#include <stdio.h>

static void test_walk(void **state)
{
    (void)state;
    uint32_t count = 0;
    for (const wane_loss_info *loss; (loss = wane_loss_at(count)) != NULL; count++) {
        assert_ptr_equal(wane_loss_by_name(loss->name), loss);
        assert_ptr_equal(wane_loss_by_id(loss->loss), loss);
        assert_true(loss->name[0] && loss->family[0] && loss->summary[0] && loss->formula[0] && loss->source[0]);
        assert_null(wane_loss_role_at(loss, loss->role_count));
        assert_null(wane_loss_param_at(loss, loss->param_count));
        assert_null(wane_loss_param_at(loss, UINT32_MAX));
    }
    assert_true(count >= 2);
    assert_null(wane_loss_at(UINT32_MAX));
}

static void test_pinned(void **state)
{
    (void)state;
    assert_int_equal(WANE_LOSS_CROSS_ENTROPY, 1);
    assert_int_equal(WANE_LOSS_COMP_SUM, 2);
    assert_int_equal(WANE_ROLE_LOGITS, 1);
    assert_int_equal(WANE_ROLE_STATUS, 16);
    assert_int_equal(WANE_PARAM_REDUCTION, 1);
    assert_int_equal(WANE_PARAM_TAU, 7);
    assert_int_equal(WANE_ERROR_NULL_ARGUMENT, -1);
    assert_int_equal(WANE_ERROR_STATISTICS, -22);
    assert_int_equal(WANE_ERROR_IN_USE, -23);
    assert_int_equal(WANE_ERROR_TOO_LARGE, -103);
    assert_int_equal(WANE_ERROR_SUBMIT, -203);
    assert_int_equal(WANE_ERROR_DRIVER, -302);
    assert_string_equal(wane_loss_by_id(WANE_LOSS_CROSS_ENTROPY)->name, "cross_entropy");
}

static void test_unknown(void **state)
{
    (void)state;
    assert_null(wane_loss_by_name(NULL));
    assert_null(wane_loss_by_name(""));
    assert_null(wane_loss_by_name("cross_entropyx"));
    assert_null(wane_loss_by_id(WANE_LOSS_NONE));
    assert_null(wane_loss_by_id((wane_loss)12345));
    assert_null(wane_loss_role_at(NULL, 0));
    assert_null(wane_loss_param_at(NULL, 0));
}

static void test_roles(void **state)
{
    (void)state;
    for (uint32_t l = 0; wane_loss_at(l); l++) {
        const wane_loss_info *loss = wane_loss_at(l);
        bool output = false;
        for (uint32_t i = 0; i < loss->role_count; i++) {
            const wane_role_info *role = wane_loss_role_at(loss, i);
            assert_true(role->role > WANE_ROLE_NONE && role->name[0] && role->shape[0] && role->types);
            assert_in_range(role->direction, WANE_DIRECTION_IN, WANE_DIRECTION_STATE);
            assert_in_range(role->need, WANE_NEED_OPTIONAL, WANE_NEED_REQUIRED);
            for (int bit = 0; bit < 32; bit++)
                if (role->types & 1u << bit) assert_true(wane_dtype_bytes((wane_dtype)bit) > 0);
            for (uint32_t k = 0; k < i; k++) assert_true(wane_loss_role_at(loss, k)->role != role->role);
            output = output || role->direction != WANE_DIRECTION_IN;
        }
        assert_true(output);
    }
}

static void test_params(void **state)
{
    (void)state;
    for (uint32_t l = 0; wane_loss_at(l); l++) {
        const wane_loss_info *loss = wane_loss_at(l);
        for (uint32_t i = 0; i < loss->param_count; i++) {
            const wane_param_info *param = wane_loss_param_at(loss, i);
            assert_true(param->param > WANE_PARAM_NONE && param->name[0] && param->meaning[0]);
            assert_true(param->lowest <= param->highest && isfinite(param->lowest) && isfinite(param->highest));
            assert_true(param->standard >= param->lowest && param->standard <= param->highest);
            assert_true(!param->lowest_excluded || param->standard > param->lowest);
            assert_in_range(param->kind, WANE_KIND_REAL, WANE_KIND_CHOICE);
            // a choice has a name for each value of its range; a loss may take the first of them alone
            int names = param->choices[0] ? 1 : 0;
            for (const char *c = param->choices; *c; c++) names += *c == '|';
            if (param->kind == WANE_KIND_CHOICE) assert_true(param->lowest == 0 && param->highest < names);
            else assert_int_equal(names, 0);
            for (uint32_t k = 0; k < i; k++) assert_true(wane_loss_param_at(loss, k)->param != param->param);
        }
    }
}

static void test_dtypes(void **state)
{
    (void)state;
    static const struct { wane_dtype dtype; size_t bytes; const char *name; } rows[] = {
        {WANE_DTYPE_F32, 4, "f32"}, {WANE_DTYPE_F16, 2, "f16"}, {WANE_DTYPE_BF16, 2, "bf16"},
        {WANE_DTYPE_I32, 4, "i32"}, {WANE_DTYPE_I64, 8, "i64"}, {WANE_DTYPE_U32, 4, "u32"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(wane_dtype_bytes(rows[i].dtype), rows[i].bytes);
        assert_string_equal(wane_dtype_name(rows[i].dtype), rows[i].name);
    }
    const int unknown[] = {0, 7, 1000, -1};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(wane_dtype_bytes((wane_dtype)unknown[i]), 0);
        assert_null(wane_dtype_name((wane_dtype)unknown[i]));
    }
}

// Every number has a text that begins with the name in the header, and no two the same.
static void test_status_texts(void **state)
{
    (void)state;
    static const struct { wane_status status; const char *name; } rows[] = {
#define ROW(name) {name, #name}
        ROW(WANE_OK), ROW(WANE_WARN_DATA), ROW(WANE_ERROR_NULL_ARGUMENT), ROW(WANE_ERROR_STRUCT),
        ROW(WANE_ERROR_UNKNOWN_LOSS), ROW(WANE_ERROR_UNKNOWN_ROLE), ROW(WANE_ERROR_UNKNOWN_PARAM),
        ROW(WANE_ERROR_DUPLICATE), ROW(WANE_ERROR_MISSING_OPERAND), ROW(WANE_ERROR_PARAM_RANGE), ROW(WANE_ERROR_RANK),
        ROW(WANE_ERROR_EXTENT), ROW(WANE_ERROR_DTYPE), ROW(WANE_ERROR_STRIDE), ROW(WANE_ERROR_SIZE),
        ROW(WANE_ERROR_ALIGNMENT), ROW(WANE_ERROR_BOUNDS), ROW(WANE_ERROR_OVERLAP), ROW(WANE_ERROR_WORKSPACE),
        ROW(WANE_ERROR_CAPACITY), ROW(WANE_ERROR_MISMATCH), ROW(WANE_ERROR_NO_OUTPUT), ROW(WANE_ERROR_FLAGS),
        ROW(WANE_ERROR_STATISTICS), ROW(WANE_ERROR_IN_USE), ROW(WANE_ERROR_UNSUPPORTED), ROW(WANE_ERROR_NO_DEVICE),
        ROW(WANE_ERROR_DEVICE_UNUSABLE), ROW(WANE_ERROR_TOO_LARGE), ROW(WANE_ERROR_HOST_MEMORY),
        ROW(WANE_ERROR_DEVICE_MEMORY), ROW(WANE_ERROR_BUILD), ROW(WANE_ERROR_SUBMIT), ROW(WANE_ERROR_INTERNAL),
        ROW(WANE_ERROR_DEVICE_LOST), ROW(WANE_ERROR_DRIVER),
    };
    enum { COUNT = sizeof rows / sizeof rows[0] };
    for (int i = 0; i < COUNT; i++) {
        const char *text = wane_status_text(rows[i].status);
        size_t length = strlen(rows[i].name);
        assert_int_equal(strncmp(text, rows[i].name, length), 0);
        assert_true(text[length] == ':' && strlen(text) > length + 2);
        for (int k = 0; k < i; k++) assert_int_not_equal(rows[i].status, rows[k].status);
    }
    int known = 0;
    for (int status = -400; status <= 10; status++)
        known += strcmp(wane_status_text((wane_status)status), wane_status_text((wane_status)9999)) != 0;
    assert_int_equal(known, COUNT);         // this list is whole
    assert_non_null(wane_status_text((wane_status)9999));
}

static void test_version(void **state)
{
    (void)state;
    char want[32];
    snprintf(want, sizeof want, "%d.%d.%d", WANE_VERSION_MAJOR, WANE_VERSION_MINOR, WANE_VERSION_PATCH);
    assert_string_equal(wane_version(), want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),    cmocka_unit_test(test_pinned),       cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_roles),   cmocka_unit_test(test_params),       cmocka_unit_test(test_dtypes),
        cmocka_unit_test(test_status_texts), cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
