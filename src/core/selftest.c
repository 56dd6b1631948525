// selftest.c - runs the kernel `selftest` on a device and compares with what it must give: a device that computes wrong
// numbers, drops barriers or loses NaN is refused before it trains anything.
#include "core/core.h"

#include <stdio.h>

enum { CELLS = 128, RESULTS = 8, RESULT_WORDS = CELLS * RESULTS + 2, FIRST_KEPT = 4, KEPT_STEP = 8, FUNCTIONS = 6, MODE = 5 };

static const float SCALE = 0.75f;

// exp, log(1 + x^2), softplus, sigmoid, tanh, expm1 of x = SCALE * (v - 64) * 7 / 32 for v = 4, 12, 20, ..., 124.
static const float kept[CELLS / KEPT_STEP][FUNCTIONS] = {
    {5.30778953e-05f, 4.58394056f, 5.30764868e-05f, 5.30750782e-05f, -0.999999994f, -0.999946922f},
    {0.000197208305f, 4.30111787f, 0.000197188862f, 0.000197169422f, -0.999999922f, -0.999802792f},
    {0.000732717744f, 3.97237185f, 0.000732449437f, 0.000732181262f, -0.999998926f, -0.999267282f},
    {0.00272237668f, 3.58028564f, 0.00271867773f, 0.00271498547f, -0.999985177f, -0.997277623f},
    {0.0101148565f, 3.09569249f, 0.0100640436f, 0.0100135706f, -0.9997954f, -0.989885144f},
    {0.0375812509f, 2.46526514f, 0.0368922841f, 0.0362200559f, -0.997179283f, -0.962418749f},
    {0.139631286f, 1.5843204f, 0.130704777f, 0.122523213f, -0.961751926f, -0.860368714f},
    {0.518793166f, 0.358138716f, 0.41791605f, 0.341582499f, -0.575862391f, -0.481206834f},
    {1.92755045f, 0.358138716f, 1.07416605f, 0.658417501f, 0.575862391f, 0.92755045f},
    {7.16171874f, 1.5843204f, 2.09945478f, 0.877476787f, 0.961751926f, 6.16171874f},
    {26.6090132f, 2.46526514f, 3.31814228f, 0.963779944f, 0.997179283f, 25.6090132f},
    {98.8644777f, 3.09569249f, 4.60381404f, 0.989986429f, 0.9997954f, 97.8644777f},
    {367.326097f, 3.58028564f, 5.90896868f, 0.997285015f, 0.999985177f, 366.326097f},
    {1364.78202f, 3.97237185f, 7.21948245f, 0.999267819f, 0.999998926f, 1363.78202f},
    {5070.78035f, 4.30111787f, 8.53144719f, 0.999802831f, 0.999999922f, 5069.78035f},
    {18840.2346f, 4.58394056f, 9.84380308f, 0.999946925f, 0.999999994f, 18839.2346f},
};

// Cells 0, 1, 2 are NaN, +inf and -inf.
static void fill_source(uint32_t *words)
{
    for (int v = 0; v < CELLS; v++) words[v] = wane_float_bits((float)(v - 64) * 0.21875f);
    words[0] = 0x7fc12345u;
    words[1] = 0x7f800000u;
    words[2] = 0xff800000u;
}

static float word_float(uint32_t word)
{
    float x;
    memcpy(&x, &word, 4);
    return x;
}

// 2e-6 of the value: four times the stated errors, since a device's own division may be off by 2.5 ulp too.
static bool near(float got, float want)
{
    float error = got > want ? got - want : want - got;
    float size = want < 0 ? -want : want;
    return error <= 2e-6f * size + 1e-30f;
}

static bool check(wane_device *device, const uint32_t *source, const uint32_t *result)
{
    static const char *const names[] = {"exp", "log", "softplus", "sigmoid", "tanh", "expm1"};
    float sum[CELLS];
    for (uint32_t v = 0; v < CELLS; v++) {
        const uint32_t *cell = result + v * RESULTS;
        uint32_t class_ = v == 0 ? 1 : v == 1 ? 2 : v == 2 ? 3 : 4;
        sum[v] = class_ == 4 ? word_float(source[v]) * SCALE : 0;
        if (cell[6] != class_ || cell[7] != (source[v] ^ v << 3)) {
            snprintf(device->reason, sizeof device->reason, "self-test: integer operations on cell %u are wrong", v);
            return false;
        }
        for (uint32_t f = 0; v % KEPT_STEP == FIRST_KEPT && f < FUNCTIONS; f++)
            if (!near(word_float(cell[f]), kept[v / KEPT_STEP][f])) {
                snprintf(device->reason, sizeof device->reason, "self-test: %s(%g) gave %.9g and not %.9g", names[f],
                         (double)sum[v], (double)word_float(cell[f]), (double)kept[v / KEPT_STEP][f]);
                return false;
            }
    }
    for (int w = CELLS / 2; w > 0; w /= 2)
        for (int v = 0; v < w; v++) sum[v] += sum[v + w];
    uint32_t last = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 4 | MODE << 8 | 7u << 16;
    bool good = near(word_float(result[CELLS * RESULTS]), sum[0]) && result[CELLS * RESULTS + 1] == last;
    if (!good)
        snprintf(device->reason, sizeof device->reason, "self-test: shared memory and barriers gave %.9g and not %.9g",
                 (double)word_float(result[CELLS * RESULTS]), (double)sum[0]);
    return good;
}

// A plan of one pass: the source and the results stand in the workspace's place as two operands' worth of it.
static void make_plan(wane_plan *plan, wane_device *device, wane_pass *pass, wane_record *record)
{
    memset(plan, 0, sizeof *plan);
    memset(pass, 0, sizeof *pass);
    memset(record, 0, sizeof *record);
    plan->context = device->context;
    plan->device = device;
    plan->limits = device->limits;
    plan->references = 1;
    plan->passes = pass;
    plan->pass_count = plan->pass_capacity = 1;
    plan->records = record;
    plan->record_count = 1;
    plan->workspace_bytes = 1024 + 4 * RESULT_WORDS;
    record->words[0] = 7;
    record->words[1] = wane_float_bits(SCALE);
    pass->kernel = WANE_KERNEL_SELFTEST;
    pass->items = 1;
    pass->window[0] = 1;
    pass->window[2] = 0;
    pass->consts[0] = MODE;
    for (int i = 0; i < WANE_MAX_SLOTS; i++) pass->slots[i].operand = WANE_SLOT_NONE;
    wane_slot source = {WANE_SLOT_WORKSPACE, 0, 0, 4 * CELLS, 0}, dest = {WANE_SLOT_WORKSPACE, 0, 1024, 4 * RESULT_WORDS, 0};
    pass->slots[0] = source;
    pass->slots[1] = dest;
}

static wane_status run(wane_device *device, const wane_plan *plan, wane_buffer *buffer)
{
    const wane_backend *backend = device->backend;
    void *program = NULL, *recorder = NULL;
    wane_status status = backend->program_create(device, plan, &program);
    if (status) return status;
    status = backend->recorder_create(device, &plan, &program, 1, 1, &recorder);
    if (status == WANE_OK) {
        wane_range workspace = {buffer, 0, buffer->bytes};
        status = backend->run(device, plan, program, recorder, NULL, &workspace);
        backend->recorder_destroy(device, recorder);
    }
    backend->program_destroy(device, program);
    return status;
}

wane_status wane_selftest(wane_device *device)
{
    wane_plan plan;
    wane_pass pass;
    wane_record record;
    make_plan(&plan, device, &pass, &record);
    uint32_t source[CELLS], result[RESULT_WORDS];
    fill_source(source);
    memset(result, 0, sizeof result);
    wane_buffer buffer;
    memset(&buffer, 0, sizeof buffer);
    buffer.context = device->context;
    buffer.device = device;
    buffer.bytes = plan.workspace_bytes;
    const wane_backend *backend = device->backend;
    wane_status status = backend->buffer_create(&buffer);
    if (status) return status;
    status = backend->buffer_write(&buffer, 0, source, sizeof source);
    if (status == WANE_OK) status = backend->buffer_write(&buffer, 1024, result, sizeof result);
    if (status == WANE_OK) status = run(device, &plan, &buffer);
    if (status == WANE_OK) status = backend->buffer_read(&buffer, 1024, result, sizeof result);
    backend->buffer_destroy(&buffer);
    if (status == WANE_OK && !check(device, source, result)) status = WANE_ERROR_DEVICE_UNUSABLE;
    return status;
}
