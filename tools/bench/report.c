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
    if (bench_reference_exists(reference)) snprintf(text, 16, "%.0f %%", 100 * p->of[reference].median);
    else snprintf(text, 16, "-");
    return text;
}

void bench_print(const bench_work *work, const bench_options *options, const bench_result *result)
{
    char a[16], b[16], c[16], d[16], e[16], f[16], h[16];
    printf("\n%s %s, rows=%lld cols=%lld, %s of logits, caches %s, %u rounds\n", options->loss->name,
           wane_dtype_name(work->dtype), (long long)work->rows, (long long)work->cols,
           bytes_text((double)work->rows * (double)work->row_bytes, a), result->cold ? "cold" : "as they are", result->rounds);
    printf("%-10s %11s %11s %11s %8s %8s %8s %8s %8s %8s %11s %9s\n", "", "median", "p20", "p80", "GB/s", "of read",
           "of copy", "of nt", "of roof", "Gexp/s", "extra", "B a row");
    for (uint32_t i = 0; i < result->provider_count; i++) {
        const bench_provider *p = &result->providers[i];
        printf("%-10s %11s %11s %11s", p->name, time_text(p->time.median, a), time_text(p->time.p20, b),
               time_text(p->time.p80, c));
        if (p->is_reference && p->reference > BENCH_NT_COPY) {
            double rate = (p->reference == BENCH_FMA ? p->flops : p->exps) / p->time.median / 1e9;
            printf(" %8.2f %s\n", rate, p->reference == BENCH_FMA ? "Gflop/s" : "Gexp/s");
            continue;
        }
        printf(" %8.2f %8s %8s %8s", p->bytes / p->time.median / 1e9, ratio_text(p, BENCH_READ, d),
               ratio_text(p, BENCH_COPY, e), ratio_text(p, BENCH_NT_COPY, f));
        if (p->is_reference) {
            printf("\n");
            continue;
        }
        const bench_call *call = &work->calls[p->mode];
        printf(" %6.0f %% %8.2f %11s %9.1f\n", 100 * p->of_roof.median, p->exps / p->time.median / 1e9,
               bytes_text((double)call->extra_bytes, h), (double)call->extra_bytes / (double)work->rows);
    }
    for (uint32_t i = 0; i < result->provider_count; i++) {
        const bench_provider *p = &result->providers[i];
        const bench_spread *of = &p->of[BENCH_COPY];
        if (!p->is_reference && p->mode == BENCH_FUSED)
            printf("fused of copy: %.3f (p20 %.3f, p80 %.3f)", of->median, of->p20, of->p80);
    }
    if (result->loss_error >= 0)
        printf("; error: loss %.1e, gradient %.1e of a row's largest", result->loss_error, result->grad_error);
    printf("; first and last bits %s\n", result->bits_equal ? "equal" : "DIFFER");
}

static void add_spread(cJSON *json, const char *name, const bench_spread *spread, double scale)
{
    cJSON *object = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(object, "median", spread->median * scale);
    cJSON_AddNumberToObject(object, "p20", spread->p20 * scale);
    cJSON_AddNumberToObject(object, "p80", spread->p80 * scale);
}

static cJSON *provider_json(const bench_work *work, const bench_provider *p)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "name", p->name);
    add_spread(json, "ms", &p->time, 1e3);
    if (p->bytes > 0) {
        cJSON_AddNumberToObject(json, "minimal_bytes", p->bytes);
        cJSON_AddNumberToObject(json, "gb_per_s", p->bytes / p->time.median / 1e9);
        add_spread(json, "of_read", &p->of[BENCH_READ], 1);
        add_spread(json, "of_copy", &p->of[BENCH_COPY], 1);
        if (bench_reference_exists(BENCH_NT_COPY)) add_spread(json, "of_nt_copy", &p->of[BENCH_NT_COPY], 1);
    }
    if (p->flops > 0) cJSON_AddNumberToObject(json, "gflop_per_s", p->flops / p->time.median / 1e9);
    if (p->exps > 0) cJSON_AddNumberToObject(json, "gexp_per_s", p->exps / p->time.median / 1e9);
    if (p->is_reference) return json;
    const bench_call *call = &work->calls[p->mode];
    add_spread(json, "of_roofline", &p->of_roof, 1);
    cJSON_AddNumberToObject(json, "moved_bytes", (double)call->info.moved_bytes);
    cJSON_AddNumberToObject(json, "dispatches", call->info.dispatch_count);
    cJSON_AddNumberToObject(json, "workspace_bytes", (double)call->info.workspace_bytes);
    cJSON_AddNumberToObject(json, "extra_bytes", (double)call->extra_bytes);
    return json;
}

cJSON *bench_json(const bench_work *work, const bench_options *options, const bench_result *result)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "op", options->loss->name);
    cJSON_AddStringToObject(json, "dtype", wane_dtype_name(work->dtype));
    cJSON_AddNumberToObject(json, "rows", (double)work->rows);
    cJSON_AddNumberToObject(json, "cols", (double)work->cols);
    cJSON_AddStringToObject(json, "caches", result->cold ? "cold" : "hot");
    cJSON_AddNumberToObject(json, "rounds", result->rounds);
    cJSON *providers = cJSON_AddArrayToObject(json, "providers");
    for (uint32_t i = 0; i < result->provider_count; i++)
        cJSON_AddItemToArray(providers, provider_json(work, &result->providers[i]));
    if (result->loss_error >= 0) {
        cJSON_AddNumberToObject(json, "loss_error", result->loss_error);
        cJSON_AddNumberToObject(json, "grad_error", result->grad_error);
    }
    cJSON_AddBoolToObject(json, "bits_equal", result->bits_equal);
    return json;
}
