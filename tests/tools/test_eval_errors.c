// test_eval_errors.c - wane-eval on bad input: the exit code, a message that names operand and file and says what to
// do, outputs that stay as they were.
#include "command.h"

#include <stdio.h>
#include <string.h>

#define EVAL TEST_EVAL " "
#define LOGITS " --device cpu --in logits=logits.npy "
#define PROBLEM LOGITS "--in target=target.npy "

// Runs, with an output file that exists; it must stay as it is and nothing may lie beside it.
static void fails(int code, const char *arguments, const char *says)
{
    command_bytes("kept.npy", "kept", 4);
    int got = command_run(EVAL "%s --out loss=kept.npy --out lse=new.npy", arguments);
    if (got != code) fail_msg("%s: exit code %d instead of %d\n%s", arguments, got, code, command_err);
    if (!strstr(command_err, says)) fail_msg("%s: expected \"%s\", got: %s", arguments, says, command_err);
    assert_string_equal(command_out, "");
    assert_non_null(strstr(command_err, "wane-eval: "));
    assert_null(strstr(strstr(command_err, "wane-eval: ") + 1, "wane-eval: "));          // said once
    char kept[8] = "";
    FILE *file = fopen("kept.npy", "rb");
    assert_non_null(file);
    assert_int_equal(fread(kept, 1, sizeof kept, file), 4);
    fclose(file);
    assert_string_equal(kept, "kept");
    assert_false(command_exists("new.npy"));
    assert_int_equal(command_count("tmp"), 0);
}

static void test_usage(void **state)
{
    (void)state;
    fails(2, "no_such_loss" PROBLEM, "there is no loss called \"no_such_loss\"");
    assert_said("cross_entropy");
    fails(2, PROBLEM, "no loss is named");
    fails(2, "cross_entropy extra" PROBLEM, "\"extra\"");
    fails(2, "cross_entropy --in logit=logits.npy" PROBLEM, "no role called \"logit\"");
    assert_said("row_weight");
    fails(2, "cross_entropy --out grad=g.npy" PROBLEM, "no role called \"grad\"");
    fails(2, "cross_entropy --in loss=logits.npy" PROBLEM, "--out loss=logits.npy");
    fails(2, "cross_entropy --out logits=g.npy" PROBLEM, "--in logits=g.npy");
    fails(2, "cross_entropy --in logits" PROBLEM, "ROLE=FILE.npy");
    fails(2, "cross_entropy --in logits=" PROBLEM, "ROLE=FILE.npy");
    fails(2, "cross_entropy --in =logits.npy" PROBLEM, "ROLE=FILE.npy");
    fails(2, "cross_entropy --in target=target.npy" PROBLEM, "target is given twice");
    fails(2, "cross_entropy --out loss=other.npy" PROBLEM, "loss is given twice with --out");
    fails(2, "cross_entropy --out row_loss=new.npy" PROBLEM, "the same file new.npy");
    fails(2, "cross_entropy --out row_loss=./new.npy" PROBLEM, "row_loss and lse go to the same file");
    fails(2, "cross_entropy --out row_loss=." PROBLEM, "folder");
    fails(2, "cross_entropy --in statistics=logits.npy --out statistics=s.npy" PROBLEM,
          "statistics is given with --in and --out");
    fails(2, "cross_entropy --accumulate loss=logits.npy" PROBLEM, "only gradients accumulate");
    fails(2, "cross_entropy --accumulate grad_logits=logits.npy" PROBLEM, "--out grad_logits=FILE.npy");
    fails(2, "cross_entropy --param tau=1" PROBLEM, "no parameter called \"tau\"");
    assert_said("label_smoothing");
    fails(2, "cross_entropy --param temperature" PROBLEM, "NAME=VALUE");
    fails(2, "cross_entropy --param temperature=warm" PROBLEM, "\"warm\" is not a number");
    fails(2, "cross_entropy --param temperature=" PROBLEM, "not a number");
    fails(2, "cross_entropy --param temperature=1x" PROBLEM, "not a number");
    fails(2, "cross_entropy --param reduction=max" PROBLEM, "none|mean|sum\n");
    fails(2, "cross_entropy --param reduction=group_mean" PROBLEM, "none of its values none|mean|sum\n");
    fails(2, "cross_entropy --dtype f64" PROBLEM, "only bf16");
    fails(2, "cross_entropy --statistics-mask x" PROBLEM, "--statistics-mask");
    fails(2, "cross_entropy --json" PROBLEM, "--list or --describe");
    fails(2, "--list foo", "--list takes no loss: --describe foo");
    fails(2, "--list foo --json", "--list takes no loss");
    fails(2, "cross_entropy --nonsense" PROBLEM, "--help");
}

static void test_parameters(void **state)
{
    (void)state;
    fails(1, "cross_entropy --param label_smoothing=1.5" PROBLEM, "label_smoothing: is 1.5, outside [0, 1]");
    fails(1, "cross_entropy --param label_smoothing=nan" PROBLEM, "label_smoothing: ");
    fails(1, "cross_entropy --param temperature=0" PROBLEM, "temperature: ");
    fails(1, "cross_entropy --param temperature=-1" PROBLEM, "temperature: ");
    fails(1, "cross_entropy --param ignore_index=1.5" PROBLEM, "ignore_index: ");
    fails(1, "cross_entropy --param z_loss=1 --param z_loss=1" PROBLEM, "z_loss: is given twice");
}

static void test_devices(void **state)
{
    (void)state;
    fails(3, "cross_entropy --device cuda --in logits=logits.npy --in target=target.npy",
          "no device is called \"cuda\"");
    assert_said("\n  cpu ");
    fails(3, "cross_entropy --device cpu:mmx --in logits=logits.npy --in target=target.npy", "cpu:generic");
    fails(3, "cross_entropy --device vulkan:99 --in logits=logits.npy --in target=target.npy", "vulkan:99");
    assert_int_equal(
        command_run("WANE_DEVICE=nowhere " EVAL "cross_entropy --in logits=logits.npy --in target=target.npy"), 3);
    assert_said("nowhere");
}

static void test_tensors(void **state)
{
    (void)state;
    const float zeros[16] = {0};
    const uint8_t bytes[12] = {0};
    command_save("flat.npy", WANE_DTYPE_F32, 1, (const int64_t[]){12}, zeros);
    command_save("four.npy", WANE_DTYPE_I64, 1, (const int64_t[]){4}, (const int64_t[]){0, 0, 0, 0});
    command_save("floats.npy", WANE_DTYPE_F32, 1, (const int64_t[]){3}, zeros);
    command_save("bytes.npy", TOOL_DTYPE_U8, 2, (const int64_t[]){3, 4}, bytes);
    fails(1, "cross_entropy" LOGITS, "target: is required");
    assert_said("--in target=FILE.npy");
    fails(1, "cross_entropy --device cpu --in target=target.npy", "logits: is required");
    fails(1, "cross_entropy --device cpu --in target=target.npy --in logits=flat.npy", "logits (flat.npy): has rank 1");
    fails(1, "cross_entropy" LOGITS "--in target=four.npy", "target (four.npy): extent 0 (rows) is 4");
    fails(1, "cross_entropy" LOGITS "--in target=floats.npy", "target (floats.npy): has rank 1 and type f32 and must be [rows,cols]: indices (i32, i64) are [rows]");
    fails(1, "cross_entropy --device cpu --in target=target.npy --in logits=bytes.npy",
          "logits (bytes.npy): has type u8; it takes f32");
    fails(1, "cross_entropy --in weight=floats.npy" PROBLEM, "weight (floats.npy): extent 0 (cols) is 3");
    fails(1, "cross_entropy --in upstream=floats.npy" PROBLEM, "upstream (floats.npy): ");
    fails(1, "cross_entropy --in statistics=logits.npy" PROBLEM, "statistics (logits.npy): ");
    fails(1, "cross_entropy --out grad_logits=g.npy --accumulate grad_logits=flat.npy" PROBLEM,
          "grad_logits (flat.npy): has rank 1");
}

// A file by its raw header and payload size.
static void header_file(const char *path, const char *header, size_t bytes)
{
    char text[4096] = "\x93NUMPY\1\0";
    size_t length = strlen(header);
    text[8] = (char)length;
    memcpy(text + 10, header, length);
    command_bytes(path, text, 10 + length + bytes);
}

static void test_files(void **state)
{
    (void)state;
    static const struct { const char *header; size_t bytes; const char *says;
    } files[] = {
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }\n", 96, "logits (bad.npy): holds f64"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (3, 4), }\n", 48, "logits (bad.npy): is big-endian"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4), }\n", 48, "logits (bad.npy): is in Fortran order"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }\n", 40, "logits (bad.npy): is truncated"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)", 48,
         "logits (bad.npy): has a malformed .npy header"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }\n", 48,
         "logits (bad.npy): has an absurd shape"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        header_file("bad.npy", files[i].header, files[i].bytes);
        fails(1, "cross_entropy --device cpu --in logits=bad.npy --in target=target.npy", files[i].says);
    }
    fails(1, "cross_entropy --device cpu --in logits=absent.npy --in target=target.npy",
          "logits (absent.npy): cannot be opened");
    command_bytes("text.npy", "1 2 3 4 5 6\n", 12);
    fails(1, "cross_entropy --in target=text.npy" LOGITS, "target (text.npy): is not a .npy file");
    fails(1, "cross_entropy --in weight=text.npy" PROBLEM, "weight (text.npy): is not a .npy file");
}

static void test_output_files(void **state)
{
    (void)state;
    fails(1, "cross_entropy --out row_loss=nowhere/row.npy" PROBLEM, "row_loss (nowhere/row.npy): cannot be created");
    if (command_exists("/dev/full"))
        assert_int_equal(command_run(EVAL "cross_entropy" PROBLEM "--out loss=/dev/full"), 1);
    assert_int_equal(command_count("tmp"), 0);
}

int main(void)
{
    command_start("eval_errors");
    command_problem();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),   cmocka_unit_test(test_parameters), cmocka_unit_test(test_devices),
        cmocka_unit_test(test_tensors), cmocka_unit_test(test_files),      cmocka_unit_test(test_output_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
