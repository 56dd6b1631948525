// test_info.c - wane-info: text, JSON, one device, wrong usage.
#include "command.h"

#include <cjson/cJSON.h>
#include <string.h>

#define INFO TEST_INFO " "

static void test_text(void **state)
{
    (void)state;
    assert_int_equal(command_run(INFO), 0);
    assert_printed(wane_version());
    assert_printed("auto takes ");
    assert_printed("\ncpu  ");
    assert_int_equal(command_run(INFO "--help"), 0);
    assert_printed("usage: wane-info");
    assert_int_equal(command_run("WANE_DEVICE=cpu " INFO "--no-selftest"), 0);
    assert_printed("WANE_DEVICE=cpu");
    assert_printed("not self-tested");
}

static void expect_member(cJSON *object, const char *name, cJSON_bool (*is)(const cJSON *))
{
    if (!is(cJSON_GetObjectItemCaseSensitive(object, name))) fail_msg("%s is absent or of another type", name);
}

static void test_json(void **state)
{
    (void)state;
    assert_int_equal(command_run(INFO "--json"), 0);
    assert_string_equal(command_err, "");
    cJSON *json = cJSON_Parse(command_out), *device, *last = NULL;
    assert_non_null(json);
    expect_member(json, "version", cJSON_IsString);
    expect_member(json, "auto", cJSON_IsString);
    expect_member(json, "auto_reason", cJSON_IsString);
    expect_member(json, "devices", cJSON_IsArray);
    cJSON_ArrayForEach(device, cJSON_GetObjectItemCaseSensitive(json, "devices")) {
        static const char *const texts[] = {"backend", "name", "driver", "id", "reason"};
        for (int i = 0; i < 5; i++) expect_member(device, texts[i], cJSON_IsString);
        expect_member(device, "tier", cJSON_IsNumber);
        expect_member(device, "usable", cJSON_IsBool);
        expect_member(device, "hardware", cJSON_IsBool);
        expect_member(device, "quirks", cJSON_IsArray);
        expect_member(device, "limits", cJSON_IsObject);
        bool usable = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(device, "usable"));
        const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(device, "reason"));
        assert_int_equal(usable, reason[0] == 0);        // a refusal has a reason
        last = device;
    }
    assert_non_null(last);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(last, "backend")), "cpu");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(last, "usable")));
    cJSON_Delete(json);
}

static void test_device(void **state)
{
    (void)state;
    assert_int_equal(command_run(INFO "--json --device cpu"), 0);
    cJSON *json = cJSON_Parse(command_out);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "devices")), 1);
    cJSON_Delete(json);
    assert_int_equal(command_run(INFO "--device cpu:generic"), 0);
    assert_printed("cpu:generic");
    assert_int_equal(command_run(INFO "--device cuda"), 3);
    assert_said("no device is called \"cuda\"");
    assert_string_equal(command_out, "");
}

static void test_usage(void **state)
{
    (void)state;
    assert_int_equal(command_run(INFO "--nonsense"), 2);
    assert_int_equal(command_run(INFO "extra"), 2);
    assert_said("\"extra\"");
    if (command_exists("/dev/full")) assert_int_equal(command_run("sh -c '" INFO "--help >/dev/full'"), 1);
}

int main(void)
{
    command_start("info");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
