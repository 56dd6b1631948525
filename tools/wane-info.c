// wane-info.c - lists the devices that wane can compute on: what they are, whether they work, which one is taken.
#include "common/json.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help_text[] =
    "usage: wane-info [--device D] [--json] [--no-selftest]\n"
    "\n"
    "Lists every device that wane can compute on: backend, driver, limits, known workarounds (quirks), whether it\n"
    "works and if not why, and which one is taken when none is named (\"auto\").\n"
    "\n"
    "  --device D      only this device: auto, cpu, cpu:avx2, vulkan, vulkan:0, opencl, opencl:0 ...\n"
    "  --json          an object with version, auto, auto_reason, devices: [{backend, id, name, driver, hardware,\n"
    "                  tier, usable, reason, limits: {...}, quirks: [...]}]\n"
    "  --no-selftest   do not run the small kernels that decide whether a device computes correctly\n"
    "  --help          this text\n"
    "  --version       the version of the library\n"
    "\n"
    "Tiers: 0 the least that wane runs on, 1 phones since Android 15, 2 desktops and the CPU.\n"
    "Environment: WANE_DEVICE names the device to take where the caller names none, WANE_LOG=info|debug shows more.\n"
    "Exit code: 0; 1 on failure, 2 for wrong usage, 3 if the device of --device does not exist or is refused.\n";

typedef struct info_options {
    const char *device;                     // NULL: all
    bool json, selftest;
} info_options;

typedef struct info_choice {
    char id[64];                            // what "auto" takes; "" if nothing could be taken
    char reason[512];
} info_choice;

// A hardware GPU that "auto" passed by, for the reason.
static void note_refused(info_choice *choice, const wane_device_info *info)
{
    size_t used = strlen(choice->reason);
    snprintf(choice->reason + used, sizeof choice->reason - used, "; %s is refused: %s", info->id, info->reason);
}

// With the self-test the library chooses. Without it the same rule is followed on what is known, because choosing would
// run the test.
static info_choice choose(tool_session *session, bool selftest)
{
    info_choice choice = {"", ""};
    wane_device *device = NULL;
    if (selftest && wane_device_find(session->context, "auto", &device) == WANE_OK)
        snprintf(choice.id, sizeof choice.id, "%s", tool_device_info(device).id);
    uint32_t count = wane_device_count(session->context), software = 0;
    for (uint32_t i = 0; i < count && !selftest && !choice.id[0]; i++) {
        wane_device_info info = tool_device_info(wane_device_at(session->context, i));
        if (info.usable && (info.is_hardware_gpu || strcmp(info.backend, "cpu") == 0))
            snprintf(choice.id, sizeof choice.id, "%s", info.id);
    }
    bool hardware = false;
    for (uint32_t i = 0; i < count; i++) {
        wane_device_info info = tool_device_info(wane_device_at(session->context, i));
        if (strcmp(info.id, choice.id) == 0) hardware = info.is_hardware_gpu;
        software += !info.is_hardware_gpu && strcmp(info.backend, "cpu") != 0;
    }
    snprintf(choice.reason, sizeof choice.reason, "%s%s%s",
             hardware ? "the first usable hardware GPU" : "there is no usable hardware GPU",
             !hardware && software ? ", and software devices are taken only when named" : "",
             selftest ? "" : " (not self-tested)");
    for (uint32_t i = 0; i < count; i++) {
        wane_device_info info = tool_device_info(wane_device_at(session->context, i));
        if (strcmp(info.id, choice.id) == 0) break;
        if (info.is_hardware_gpu && !info.usable) note_refused(&choice, &info);
    }
    return choice;
}

static const char *bytes_text(uint64_t bytes, char *text, size_t capacity)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++) value /= 1024;
    if (bytes > UINT64_C(1) << 60) snprintf(text, capacity, "no limit");
    else snprintf(text, capacity, "%.4g %s", value, units[unit]);
    return text;
}

static void print_device(const wane_device_info *info, bool selftest)
{
    char a[32], b[32], c[32], elems[32] = "no limit";
    const wane_limits *limits = &info->limits;
    const char *kind = strcmp(info->backend, "cpu") == 0 ? "CPU, always there" : "software, taken only when named";
    if (info->is_hardware_gpu) kind = "hardware GPU";
    if (limits->max_dispatch_elems < UINT64_C(1) << 60)
        snprintf(elems, sizeof elems, "%llu", (unsigned long long)limits->max_dispatch_elems);
    printf("\n%s  %s\n", info->id, info->name);
    printf("  backend   %s\n", info->backend);
    printf("  driver    %s\n", info->driver);
    printf("  kind      %s\n", kind);
    if (info->usable)
        printf("  usable    yes%s\n", selftest ? ", its self-test passed" : " as far as is known: not self-tested");
    else printf("  usable    no: %s\n", info->reason);
    static const char *const tiers[] = {": the least that wane runs on", ": as phones have since Android 15",
                                        ": desktop, or the CPU"};
    printf("  tier      %u%s\n", limits->tier, limits->tier < 3 ? tiers[limits->tier] : "");
    printf("  limits    lanes %u, shared memory %s, window %s, buffer %s,\n", limits->max_lanes,
           bytes_text(limits->shared_bytes, a, sizeof a), bytes_text(limits->max_window_bytes, b, sizeof b),
           bytes_text(limits->max_buffer_bytes, c, sizeof c));
    printf("            alignment %u B, groups %u, elements a dispatch %s\n", limits->offset_align_bytes,
           limits->max_groups, elems);
    printf("  quirks    %s\n", info->quirks[0] ? info->quirks : "none");
}

// The device of --device: also a refused one, whose reason is what the user wants to read.
static int named_device(tool_session *session, const char *name, wane_device **out)
{
    for (uint32_t i = 0; i < wane_device_count(session->context); i++) {
        wane_device *device = wane_device_at(session->context, i);
        wane_device_info info = tool_device_info(device);
        size_t length = strlen(info.backend);
        bool first = strcmp(info.backend, name) == 0 && (!info.id[length] || strcmp(info.id + length, ":0") == 0);
        if (strcmp(info.id, name) != 0 && !first) continue;
        *out = device;
        return TOOL_OK;
    }
    return tool_device(session, name, out);
}

static void print_text(const info_choice *choice, wane_device *const *devices, uint32_t count, bool selftest)
{
    const char *wish = getenv("WANE_DEVICE");
    printf("wane %s, %u device%s\n", wane_version(), count, count == 1 ? "" : "s");
    printf("auto takes %s: %s\n", choice->id[0] ? choice->id : "nothing", choice->reason);
    if (wish && *wish) printf("WANE_DEVICE=%s is taken where no device is named\n", wish);
    for (uint32_t i = 0; i < count; i++) {
        wane_device_info info = tool_device_info(devices[i]);
        print_device(&info, selftest);
    }
}

static int print_json(const info_choice *choice, wane_device *const *devices, uint32_t count)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "version", wane_version());
    cJSON_AddStringToObject(json, "auto", choice->id);
    cJSON_AddStringToObject(json, "auto_reason", choice->reason);
    cJSON *list = cJSON_AddArrayToObject(json, "devices");
    for (uint32_t i = 0; i < count; i++) {
        wane_device_info info = tool_device_info(devices[i]);
        cJSON_AddItemToArray(list, tool_json_device(&info));
    }
    return tool_json_print(json, stdout);
}

static int show(tool_session *session, const info_options *options)
{
    wane_device *named = NULL;
    if (options->device) {
        int code = named_device(session, options->device, &named);
        if (code) return code;
    }
    uint32_t count = named ? 1 : wane_device_count(session->context);
    wane_device **devices = calloc(count ? count : 1, sizeof *devices);
    if (!devices) {
        tool_error("out of memory");
        return TOOL_FAILED;
    }
    int code = TOOL_OK;
    for (uint32_t i = 0; i < count; i++) {
        devices[i] = named ? named : wane_device_at(session->context, i);
        // A refusal is told by the device's reason below
        if (options->selftest) wane_device_selftest(devices[i]);
    }
    if (named && !tool_device_info(named).usable) code = TOOL_NO_DEVICE;
    info_choice choice = choose(session, options->selftest);
    if (!options->json) {
        print_text(&choice, devices, count, options->selftest);
    } else {
        int printed = print_json(&choice, devices, count);
        code = printed ? printed : code;
    }
    free(devices);
    return code;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"device", required_argument, NULL, 'd'}, {"json", no_argument, NULL, 'j'},
        {"no-selftest", no_argument, NULL, 'n'},  {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {NULL, 0, NULL, 0},
    };
    info_options options = {NULL, false, true};
    tool_begin("wane-info");
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        switch (c) {
        case 'd': options.device = optarg; break;
        case 'j': options.json = true; break;
        case 'n': options.selftest = false; break;
        case 'h': fputs(help_text, stdout); return tool_end(TOOL_OK);
        case 'V': printf("wane %s\n", wane_version()); return tool_end(TOOL_OK);
        default: return tool_usage();
        }
    }
    if (optind < argc) {
        tool_error("unexpected argument \"%s\"", argv[optind]);
        return tool_usage();
    }
    tool_session session;
    int code = tool_open(&session, NULL);
    if (!code) code = show(&session, &options);
    tool_close(&session);
    return tool_end(code);
}
