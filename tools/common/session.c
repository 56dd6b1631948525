// session.c - see session.h.
#include "common/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *program_name = "wane";

void tool_begin(const char *program) { program_name = program; }

static void message(const char *kind, const char *format, va_list list)
{
    fflush(stdout);                         // so that the two streams keep their order on one terminal
    fprintf(stderr, "%s: %s", program_name, kind);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
}

void tool_error(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    message("", format, list);
    va_end(list);
}

void tool_warning(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    message("warning: ", format, list);
    va_end(list);
}

int tool_usage(void)
{
    fprintf(stderr, "Try '%s --help'.\n", program_name);
    return TOOL_USAGE;
}

int tool_end(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    tool_error("standard output cannot be written: %s", strerror(errno));
    return code ? code : TOOL_FAILED;
}

static void keep(void *user, const wane_log_record *record)
{
    tool_session *session = user;
    if (record->level == WANE_LOG_ERROR) {
        session->status = record->status;
        snprintf(session->operand, sizeof session->operand, "%s", record->operand ? record->operand : "");
        if (record->native_code)
            snprintf(session->text, sizeof session->text, "%s (code %d)", record->text, (int)record->native_code);
        else
            snprintf(session->text, sizeof session->text, "%s", record->text);
    } else if (record->status == WANE_WARN_DATA) {
        snprintf(session->faults, sizeof session->faults, "%s", record->text);
    } else if (record->level == WANE_LOG_WARNING) {
        tool_warning("%s%s%s", record->operand ? record->operand : "", record->operand ? ": " : "", record->text);
    }
}

int tool_open(tool_session *session, const wane_context_desc *desc)
{
    memset(session, 0, sizeof *session);
    wane_context_desc mine;
    if (desc) mine = *desc;
    else memset(&mine, 0, sizeof mine);
    mine.struct_size = sizeof mine;
    mine.log = keep;
    mine.log_user = session;
    wane_status status = wane_context_create(&mine, &session->context);
    return status ? tool_report(session, status, NULL) : TOOL_OK;
}

void tool_close(tool_session *session)
{
    wane_context_destroy(session->context);
    session->context = NULL;
}

int tool_report(tool_session *session, wane_status status, const char *file)
{
    if (session->status != status) {
        tool_error("%s", wane_status_text(status));
    } else if (session->operand[0]) {
        tool_error("%s%s%s%s: %s", session->operand, file ? " (" : "", file ? file : "", file ? ")" : "",
                   session->text);
    } else {
        tool_error("%s", session->text);
    }
    session->status = WANE_OK;
    return status == WANE_ERROR_NO_DEVICE || status == WANE_ERROR_DEVICE_UNUSABLE ? TOOL_NO_DEVICE : TOOL_FAILED;
}

wane_device_info tool_device_info(wane_device *device)
{
    wane_device_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    wane_device_get_info(device, &info);
    const char **texts[] = {&info.id, &info.backend, &info.name, &info.driver, &info.quirks, &info.reason};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!*texts[i]) *texts[i] = "";
    return info;
}

static void list_devices(tool_session *session)
{
    fprintf(stderr, "The devices here:\n");
    for (uint32_t i = 0; i < wane_device_count(session->context); i++) {
        wane_device_info info = tool_device_info(wane_device_at(session->context, i));
        fprintf(stderr, "  %-12s %s%s%s\n", info.id, info.name,
                info.usable ? "" : ", refused: ", info.usable ? "" : info.reason);
    }
}

int tool_device(tool_session *session, const char *name, wane_device **out)
{
    wane_status status = wane_device_find(session->context, name, out);
    if (!status) return TOOL_OK;
    int code = tool_report(session, status, NULL);
    if (status == WANE_ERROR_NO_DEVICE) list_devices(session);
    return code;
}

// ---- waiting ----

struct tool_wait {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool done;
    char what[128];
};

static void *watch(void *argument)
{
    tool_wait *wait = argument;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    int code = 0;
    pthread_mutex_lock(&wait->lock);
    while (!wait->done && code == 0) code = pthread_cond_timedwait(&wait->over, &wait->lock, &until);
    if (!wait->done)
        fprintf(stderr, "%s: %s, which takes seconds where the driver has not kept them from an earlier time ...\n", program_name,
                wait->what);
    pthread_mutex_unlock(&wait->lock);
    return NULL;
}

tool_wait *tool_wait_begin(const char *what)
{
    tool_wait *wait = calloc(1, sizeof *wait);
    if (!wait) return NULL;
    snprintf(wait->what, sizeof wait->what, "%s", what);
    pthread_mutex_init(&wait->lock, NULL);
    pthread_cond_init(&wait->over, NULL);
    if (pthread_create(&wait->thread, NULL, watch, wait) == 0) return wait;
    free(wait);
    return NULL;
}

void tool_wait_end(tool_wait *wait)
{
    if (!wait) return;
    pthread_mutex_lock(&wait->lock);
    wait->done = true;
    pthread_cond_signal(&wait->over);
    pthread_mutex_unlock(&wait->lock);
    pthread_join(wait->thread, NULL);
    pthread_cond_destroy(&wait->over);
    pthread_mutex_destroy(&wait->lock);
    free(wait);
}
