// report.c - the table for people, the object for programs, the line of progress.
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void bench_progress(const char *format, ...)
{
    static bool shown;
    if (!isatty(STDERR_FILENO)) return;
    if (!format) {
        if (shown) fputs("\r\033[K", stderr);
        shown = false;
    } else {
        va_list list;
        va_start(list, format);
        fputs("\r\033[K", stderr);
        vfprintf(stderr, format, list);
        va_end(list);
        shown = true;
    }
    fflush(stderr);
}

static const char *time_text(double seconds, char text[16])
{
    if (seconds < 1e-3) snprintf(text, 16, "%.1f us", seconds * 1e6);
    else if (seconds < 1) snprintf(text, 16, "%.2f ms", seconds * 1e3);
    else snprintf(text, 16, "%.3f s", seconds);
    return text;
}

static const char *bytes_text(double bytes, char text[16])
{
    if (bytes < 1024) snprintf(text, 16, "%.0f B", bytes);
    else if (bytes < 1048576) snprintf(text, 16, "%.1f KiB", bytes / 1024);
    else snprintf(text, 16, "%.1f MiB", bytes / 1048576);
    return text;
}

static const char *ratio_text(const bench_provider *p, bench_reference reference, char text[16])
{
    if (p->of[reference].median > 0) snprintf(text, 16, "%.0f %%", 100 * p->of[reference].median);
    else snprintf(text, 16, "-");
    return text;
}

static const char *const unit_names[BENCH_UNITS] = {"GB/s", "Gflop/s", "Gexp/s", "Glink/s", "Gpair/s"};

// A number a second, in the reference's own unit, or in that of the family.
static void print_rates(const bench_work *work, const bench_provider *p)
{
    bench_unit unit = p->call ? work->options->family->rate : bench_references[p->reference].unit;
    char bytes[16] = "-", rate[16] = "-";
    if (p->amount[BENCH_BYTES] > 0) snprintf(bytes, sizeof bytes, "%.2f", p->amount[BENCH_BYTES] / p->time.median / 1e9);
    if (unit != BENCH_BYTES && p->amount[unit] > 0) snprintf(rate, sizeof rate, "%.2f", p->amount[unit] / p->time.median / 1e9);
    printf(" %9s %9s", bytes, rate);
}

static void print_head(const bench_work *work, const bench_result *result)
{
    const bench_options *options = work->options;
    char shape[96], bytes[16], column[24];
    printf("\n%s %s, %s, %s of %s, caches %s, %u rounds\n", options->loss->name, wane_dtype_name(options->dtype),
           bench_extents_text(&work->extents, shape), bytes_text((double)work->bulk->shape.bytes, bytes), work->bulk->role->name,
           result->cold ? "cold" : "as they are", result->rounds);
    printf("%-10s %11s %11s %11s %9s %9s", "", "median", "p20", "p80", "GB/s", unit_names[options->family->rate]);
    for (int i = 0; i < BENCH_COLUMNS; i++) {
        snprintf(column, sizeof column, "of %s", bench_references[options->family->columns[i]].name);
        printf(" %11s", column);
    }
    printf(" %8s %11s\n", "of roof", "extra");
}

void bench_print(const bench_work *work, const bench_result *result)
{
    char a[16], b[16], c[16];
    print_head(work, result);
    for (uint32_t i = 0; i < result->provider_count; i++) {
        const bench_provider *p = &result->providers[i];
        printf("%-10s %11s %11s %11s", p->name, time_text(p->time.median, a), time_text(p->time.p20, b),
               time_text(p->time.p80, c));
        print_rates(work, p);
        if (!p->call) {
            bench_unit unit = bench_references[p->reference].unit;
            printf("%s%s\n", unit == BENCH_BYTES ? "" : " ", unit == BENCH_BYTES ? "" : unit_names[unit]);
            continue;
        }
        for (int k = 0; k < BENCH_COLUMNS; k++) printf(" %11s", ratio_text(p, work->options->family->columns[k], a));
        if (p->of_roof.median > 0) printf(" %6.0f %%", 100 * p->of_roof.median);
        else printf(" %8s", "-");
        printf(" %11s", bytes_text((double)p->call->extra_bytes, b));
        int64_t rows = bench_extent(&work->extents, "rows");
        if (rows) printf(", %.1f B a row", (double)p->call->extra_bytes / (double)rows);
        printf("\n");
    }
    if (result->value_error >= 0)
        printf("error%s%s: values %.1e, gradients %.1e of %s largest; ", result->judged[0] ? " at " : "", result->judged,
               result->value_error, result->grad_error, work->options->family->judged ? "their" : "a row's");
    printf("first and last bits %s\n", result->bits_equal ? "equal" : "DIFFER");
}

static void add_spread(cJSON *json, const char *name, const bench_spread *spread, double scale)
{
    cJSON *object = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(object, "median", spread->median * scale);
    cJSON_AddNumberToObject(object, "p20", spread->p20 * scale);
    cJSON_AddNumberToObject(object, "p80", spread->p80 * scale);
}

static cJSON *provider_json(const bench_provider *p)
{
    cJSON *json = cJSON_CreateObject();
    static const char *const rates[BENCH_UNITS] = {"gb_per_s", "gflop_per_s", "gexp_per_s", "glink_per_s", "gpair_per_s"};
    static const char *const amounts[BENCH_UNITS] = {"minimal_bytes", "flops", "exps", "links", "pairs"};
    cJSON_AddStringToObject(json, "name", p->name);
    cJSON_AddBoolToObject(json, "reference", p->call == NULL);
    add_spread(json, "ms", &p->time, 1e3);
    for (int u = 0; u < BENCH_UNITS; u++) {
        if (p->amount[u] <= 0) continue;
        cJSON_AddNumberToObject(json, amounts[u], p->amount[u]);
        cJSON_AddNumberToObject(json, rates[u], p->amount[u] / p->time.median / 1e9);
    }
    for (int k = 0; k < BENCH_REFERENCES; k++)
        if (p->of[k].median > 0) add_spread(json, bench_references[k].key, &p->of[k], 1);
    if (!p->call) return json;
    if (p->of_roof.median > 0) add_spread(json, "of_roofline", &p->of_roof, 1);
    cJSON_AddNumberToObject(json, "moved_bytes", (double)p->call->info.moved_bytes);
    cJSON_AddNumberToObject(json, "dispatches", p->call->info.dispatch_count);
    cJSON_AddNumberToObject(json, "workspace_bytes", (double)p->call->info.workspace_bytes);
    cJSON_AddNumberToObject(json, "extra_bytes", (double)p->call->extra_bytes);
    return json;
}

cJSON *bench_json(const bench_work *work, const bench_result *result)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "op", work->options->loss->name);
    cJSON_AddStringToObject(json, "dtype", wane_dtype_name(work->options->dtype));
    for (uint32_t i = 0; i < work->extents.count; i++)
        cJSON_AddNumberToObject(json, work->extents.known[i].name, (double)work->extents.known[i].value);
    cJSON_AddStringToObject(json, "caches", result->cold ? "cold" : "hot");
    cJSON_AddNumberToObject(json, "rounds", result->rounds);
    cJSON *providers = cJSON_AddArrayToObject(json, "providers");
    for (uint32_t i = 0; i < result->provider_count; i++)
        cJSON_AddItemToArray(providers, provider_json(&result->providers[i]));
    if (result->value_error >= 0) {
        cJSON_AddNumberToObject(json, "value_error", result->value_error);
        cJSON_AddNumberToObject(json, "grad_error", result->grad_error);
        if (result->judged[0]) cJSON_AddStringToObject(json, "judged", result->judged);
    }
    cJSON_AddBoolToObject(json, "bits_equal", result->bits_equal);
    return json;
}
