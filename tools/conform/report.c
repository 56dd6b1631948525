// report.c - results for people (text), and for programs: TAP, JUnit XML, JSON, CSV.
//
// JUnit and JSON have an end that closes what is open. It is written after every record and overwritten by the next,
// so that the file is valid at any moment. As long as cases are missing, it says so: a run that was killed is not green.
#include "conform.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#if !defined(_WIN32)
#include <unistd.h>
#endif

// ---- escaping ----

static void put_xml(FILE *f, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&': fputs("&amp;", f); break;
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '"': fputs("&quot;", f); break;
        default: fputc((unsigned char)*text < 32 ? ' ' : *text, f);
        }
}

static void put_json(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', f);
        if ((unsigned char)*text < 32) fprintf(f, "\\u%04x", (unsigned)(unsigned char)*text);
        else fputc(*text, f);
    }
    fputc('"', f);
}

static void put_csv(FILE *f, const char *text)
{
    fputc('"', f);
    for (; *text; text++) {
        if (*text == '"') fputc('"', f);
        fputc(*text == '\n' ? ' ' : *text, f);
    }
    fputc('"', f);
}

// JSON has no infinity.
static void put_number(FILE *f, double value)
{
    if (isfinite(value)) fprintf(f, "%.6g", value);
    else fputs("null", f);
}

// ---- how to see it again ----

static void reproduce(const conform_report *r, size_t index, char *text, size_t capacity)
{
    const conform_options *o = r->options;
    static const char *const modes[] = {"", " --mode grad", " --mode perf", ""};
    snprintf(text, capacity, "wane-conform%s%s%s%s --filter '%s' --seed %llu", o->device ? " --device " : "",
             o->device ? o->device : "", modes[o->mode], o->full ? " --full" : "", r->list->cases[index].name,
             (unsigned long long)o->seed);
}

// ---- files ----

static size_t failures(const conform_report *r)
{
    size_t failed = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++) failed += conform_bad((conform_outcome)i) ? r->counts[i] : 0;
    return failed;
}

static bool complete(const conform_report *r) { return r->done == r->list->count; }

// The case that stands for those that have not run is one of the tests.
static void junit_head(conform_report *r)
{
    size_t failed = failures(r), missing = complete(r) ? 0 : 1;
    rewind(r->junit);
    fprintf(r->junit, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuite name=\"wane-conform\" tests=\"%08llu\" failures=\"%08llu\" errors=\"%08llu\" skipped=\"%08llu\">\n"
            "<properties><property name=\"planned\" value=\"%llu\"/></properties>\n",
            (unsigned long long)(r->done + missing), (unsigned long long)failed, (unsigned long long)missing,
            (unsigned long long)(r->done - failed - r->counts[OUTCOME_PASS]), (unsigned long long)r->list->count);
}

// Ends the file as if the run ended here: in an error, until the last case is there. `why` may be NULL.
static void junit_tail(conform_report *r, const char *why)
{
    r->junit_tail = ftell(r->junit);
    if (!complete(r)) {
        fprintf(r->junit, "<testcase classname=\"wane-conform\" name=\"interrupted\"><error message=\"%llu of %llu cases ran%s",
                (unsigned long long)r->done, (unsigned long long)r->list->count, why ? "; " : "");
        put_xml(r->junit, why ? why : "");
        fputs("\"/></testcase>\n", r->junit);
    }
    fputs("</testsuite>\n", r->junit);
    long end = ftell(r->junit);
    for (long at = end; at < r->junit_end; at++) fputc('\n', r->junit);     // over what is left of a longer end
    if (end > r->junit_end) r->junit_end = end;
    fflush(r->junit);
}

static void junit_record(conform_report *r, size_t index, const conform_result *result)
{
    char line[512];
    junit_head(r);
    fseek(r->junit, r->junit_tail, SEEK_SET);
    fputs("<testcase classname=\"", r->junit);
    put_xml(r->junit, r->list->cases[index].loss->name);
    fputs("\" name=\"", r->junit);
    put_xml(r->junit, r->list->cases[index].name);
    fprintf(r->junit, "\" time=\"%.3f\">", result->seconds);
    if (!conform_bad(result->outcome) && result->outcome != OUTCOME_PASS) {
        fputs("<skipped message=\"", r->junit);
        put_xml(r->junit, result->message);
        fputs("\"/>", r->junit);
    } else if (conform_bad(result->outcome)) {
        reproduce(r, index, line, sizeof line);
        fprintf(r->junit, "<failure type=\"%s\" message=\"", conform_outcome_names[result->outcome]);
        put_xml(r->junit, result->message);
        fputs("\">", r->junit);
        put_xml(r->junit, line);
        fputs("</failure>", r->junit);
    }
    fputs("</testcase>\n", r->junit);
    junit_tail(r, NULL);
}

static void json_tail(conform_report *r)
{
    r->json_tail = ftell(r->json);
    fputs("\n], \"head\": ", r->json);
    put_json(r->json, r->head);
    fprintf(r->json, ", \"passed\": %llu, \"skipped\": %llu, \"done\": %llu, \"planned\": %llu, \"digest\": \"%016llx\"}\n",
            (unsigned long long)r->counts[OUTCOME_PASS], (unsigned long long)r->counts[OUTCOME_SKIP],
            (unsigned long long)r->done, (unsigned long long)r->list->count, (unsigned long long)r->digest);
    fflush(r->json);
}

static void json_record(conform_report *r, size_t index, const conform_result *result)
{
    char line[512];
    FILE *f = r->json;
    fseek(f, r->json_tail, SEEK_SET);
    fputs(r->done > 1 ? ",\n{\"name\": " : "\n{\"name\": ", f);
    put_json(f, r->list->cases[index].name);
    fprintf(f, ", \"outcome\": \"%s\", \"seconds\": %.6f, \"error\": ", conform_outcome_names[result->outcome], result->seconds);
    put_number(f, result->error);
    fputs(", \"error_ulp\": ", f);
    put_number(f, result->ulps);
    fputs(", \"tolerance_ulp\": ", f);
    put_number(f, result->allowed_ulps);
    fprintf(f, ", \"digest\": \"%016llx\", \"figures\": [", (unsigned long long)result->digest);
    for (int i = 0; i < FIGURE_COUNT; i++) {
        if (i) fputs(", ", f);
        put_number(f, result->figures[i] < 0 ? (double)INFINITY : result->figures[i]);
    }
    fputs("], \"message\": ", f);
    put_json(f, result->message);
    fputs(", \"reproduce\": ", f);
    reproduce(r, index, line, sizeof line);
    put_json(f, line);
    fputc('}', f);
    json_tail(r);
}

static void csv_record(conform_report *r, size_t index, const conform_result *result)
{
    put_csv(r->csv, r->list->cases[index].name);
    fprintf(r->csv, ",%s,%.6f,%.6g,%.4g,%.4g,%016llx,", conform_outcome_names[result->outcome], result->seconds,
            result->error, result->ulps, result->allowed_ulps, (unsigned long long)result->digest);
    put_csv(r->csv, result->message);
    fputc('\n', r->csv);
    fflush(r->csv);
}

static bool open_file(FILE **file, const char *path)
{
    if (!path) return true;
    *file = fopen(path, "w+");
    if (!*file) perror(path);
    return *file != NULL;
}

bool conform_report_open(conform_report *report, const conform_options *options, const conform_list *list,
                         const conform_lists *lists)
{
    memset(report, 0, sizeof *report);
    report->lists = lists;
    report->waiting = calloc(list->count + 1, sizeof *report->waiting);
    if (!report->waiting) {
        fprintf(stderr, "wane-conform: no memory for the results\n");
        return false;
    }
    report->options = options;
    report->list = list;
    report->text = options->tap ? stderr : stdout;
    report->digest = 0xcbf29ce484222325u;
    for (int i = 0; i < FIGURE_COUNT; i++) report->figures[i] = -1;
#if !defined(_WIN32)
    report->terminal = !options->verbose && isatty(fileno(report->text));
#endif
    if (!open_file(&report->junit, options->junit) || !open_file(&report->json, options->json)
        || !open_file(&report->csv, options->csv)) {
        free(report->waiting);
        return false;
    }
    if (report->junit) {
        setvbuf(report->junit, NULL, _IOFBF, 1 << 14);      // a record and the end after it are one write
        junit_head(report);
        junit_tail(report, NULL);
    }
    if (report->json) {
        fputs("{\"cases\": [", report->json);
        json_tail(report);
    }
    if (report->csv) fputs("name,outcome,seconds,error_in_tolerances,error_ulp,tolerance_ulp,digest,message\n", report->csv);
    if (options->tap) printf("TAP version 13\n1..%llu\n", (unsigned long long)list->count);
    fflush(NULL);
    return true;
}

// ---- as it goes ----

static void clear_line(conform_report *r)
{
    if (r->line_open) fputs("\r\033[K", r->text);
    r->line_open = false;
}

static void on_head(void *user, const char *text)
{
    conform_report *r = user;
    snprintf(r->head, sizeof r->head, "%s", text);
    fprintf(r->text, "%s\nseed %llu, %s, %llu cases\n", text, (unsigned long long)r->options->seed,
            r->options->full ? "full" : "quick", (unsigned long long)r->list->count);
    fflush(r->text);
}

static void on_start(void *user, size_t index)
{
    conform_report *r = user;
    if (!r->terminal) return;
    fprintf(r->text, "\r\033[K[%llu/%llu] %.100s", (unsigned long long)r->ended + 1, (unsigned long long)r->list->count,
            r->list->cases[index].name);
    r->line_open = true;
    fflush(r->text);
}

static void tap_record(const conform_report *r, size_t index, const conform_result *result)
{
    char line[512];
    bool skip = result->outcome == OUTCOME_SKIP, bad = conform_bad(result->outcome);
    bool excused = result->outcome == OUTCOME_WAIVED || result->outcome == OUTCOME_KNOWN;
    printf("%sok %llu - %s%s%s\n", bad || excused ? "not " : "", (unsigned long long)index + 1, r->list->cases[index].name,
           skip ? " # SKIP " : excused ? " # TODO " : "", skip || excused ? result->message : "");
    if (!bad) return;
    reproduce(r, index, line, sizeof line);
    printf("# %s: %s\n# %s\n", conform_outcome_names[result->outcome], result->message, line);
}

// A failure that a waiver or the baseline knows is told as such.
static void excuse(conform_report *r, size_t index, conform_result *result)
{
    const char *name = r->list->cases[index].name;
    if (!conform_bad(result->outcome)) return;
    bool known = conform_known_failure(r->lists, name);
    const char *reason = conform_waiver(r->lists, name, r->head);
    if (!reason && !known) return;
    char message[CONFORM_MESSAGE];
    snprintf(message, sizeof message, "%s, %.150s; %.300s", reason ? "waived" : "in the baseline",
             reason ? reason : conform_outcome_names[result->outcome], result->message);
    memcpy(result->message, message, sizeof message);
    result->outcome = reason ? OUTCOME_WAIVED : OUTCOME_KNOWN;
}

static void record(conform_report *r, size_t index, conform_result *result)
{
    char line[512];
    r->done++;
    r->counts[result->outcome]++;
    r->digest = conform_hash(r->digest, &result->digest, sizeof result->digest);
    if (result->outcome == OUTCOME_PASS && conform_known_failure(r->lists, r->list->cases[index].name)) {
        r->fixed++;
        clear_line(r);
        fprintf(r->text, "fixed      %s: a failure of the baseline passes\n", r->list->cases[index].name);
    }
    bool bad = conform_bad(result->outcome);
    if (result->error > r->worst && result->outcome == OUTCOME_PASS) r->worst = result->error, r->worst_index = index;
    for (int i = 0; i < FIGURE_COUNT; i++)
        if (result->figures[i] > r->figures[i]) r->figures[i] = result->figures[i];
    if (bad || r->options->verbose || r->options->mode == MODE_PERF) {
        clear_line(r);
        fprintf(r->text, "%-10s %s  %.3g of the tolerance", conform_outcome_names[result->outcome], r->list->cases[index].name,
                result->error);
        if (result->allowed_ulps > 0) fprintf(r->text, ", %.3g of %.3g ulp", result->ulps, result->allowed_ulps);
        fprintf(r->text, ", %.3f s%s%s\n", result->seconds, result->message[0] ? "\n           " : "", result->message);
        reproduce(r, index, line, sizeof line);
        if (bad) fprintf(r->text, "           %s\n", line);
        fflush(r->text);
    }
    if (r->options->tap) tap_record(r, index, result);
    if (r->junit) junit_record(r, index, result);
    if (r->json) json_record(r, index, result);
    if (r->csv) csv_record(r, index, result);
    fflush(stdout);
}

static void record_waiting(conform_report *r)
{
    conform_result *result = r->waiting[r->next];
    if (result) record(r, r->next, result);
    free(result);
    r->waiting[r->next++] = NULL;
}

// Reports are in the order of the list, whatever the order of the ends.
static bool on_end(void *user, size_t index, const conform_result *result)
{
    conform_report *r = user;
    conform_result *kept = malloc(sizeof *kept);
    r->ended++;
    if (kept) {
        *kept = *result;
        excuse(r, index, kept);
        r->failed += conform_bad(kept->outcome);
    }
    r->waiting[index] = kept;
    while (r->next < r->list->count && r->waiting[r->next]) record_waiting(r);
    return !r->options->stop_after || r->failed < r->options->stop_after;
}

conform_sink conform_report_sink(conform_report *report)
{
    conform_sink sink = {.user = report, .head = on_head, .starts = on_start, .ends = on_end};
    return sink;
}

// ---- at the end ----

static void close_file(conform_report *r, FILE *file, const char *path)
{
    if (!file) return;
    bool bad = ferror(file) != 0;
    if (fclose(file) == 0 && !bad) return;
    fprintf(stderr, "wane-conform: %s could not be written\n", path);
    r->write_failed = true;
}

static void print_summary(conform_report *r)
{
    bool any = false;
    if (r->counts[OUTCOME_PASS])
        fprintf(r->text, "largest error of a passed case: %.3g of the tolerance, %s\n", r->worst,
                r->list->cases[r->worst_index].name);
    for (int i = 0; i < FIGURE_COUNT; i++) any = any || r->figures[i] >= 0;
    if (any) fputs("figures:\n", r->text);
    for (int i = 0; i < FIGURE_COUNT; i++)
        if (r->figures[i] >= 0)
            fprintf(r->text, "  %-56s %.2e, limit %.2e\n", conform_figure_names[i], r->figures[i], conform_figure_limits[i]);
    for (int i = OUTCOME_CRASH; i <= OUTCOME_MISTRUSTED; i++)
        if (r->counts[i])
            fprintf(r->text, "of the failed: %llu %s\n", (unsigned long long)r->counts[i], conform_outcome_names[i]);
    if (r->counts[OUTCOME_WAIVED] || r->counts[OUTCOME_KNOWN] || r->fixed)
        fprintf(r->text, "%llu waived, %llu known from the baseline, %llu of the baseline fixed\n",
                (unsigned long long)r->counts[OUTCOME_WAIVED], (unsigned long long)r->counts[OUTCOME_KNOWN],
                (unsigned long long)r->fixed);
    if (r->options->digest) fprintf(r->text, "digest: %016llx\n", (unsigned long long)r->digest);
}

int conform_report_close(conform_report *r, int ended, const char *error)
{
    while (r->next < r->list->count) record_waiting(r);
    free(r->waiting);
    clear_line(r);
    if (ended == RUN_NO_DEVICE) {
        fprintf(stderr, "wane-conform: %s\n", error);
        if (r->options->tap) printf("Bail out! no device\n");
    }
    if (ended == RUN_INTERRUPTED) {
        fprintf(r->text, "interrupted after %llu of %llu cases\n", (unsigned long long)r->done, (unsigned long long)r->list->count);
        if (r->options->tap) printf("Bail out! interrupted\n");
    }
    if (r->junit && ended == RUN_NO_DEVICE) {
        fseek(r->junit, r->junit_tail, SEEK_SET);
        junit_tail(r, error);
    }
    close_file(r, r->junit, r->options->junit);
    close_file(r, r->json, r->options->json);
    close_file(r, r->csv, r->options->csv);
    if (ended == RUN_NO_DEVICE && !r->done) return 3;
    print_summary(r);
    size_t failed = failures(r);
    fprintf(r->text, "%llu passed, %llu failed, %llu skipped\n", (unsigned long long)r->counts[OUTCOME_PASS],
            (unsigned long long)failed, (unsigned long long)r->counts[OUTCOME_SKIP]);
    fflush(r->text);
    if (ended == RUN_NO_DEVICE) return 3;
    if (failed || ended == RUN_INTERRUPTED || r->write_failed) return 1;
    return r->done > r->counts[OUTCOME_SKIP] ? 0 : 77;
}
