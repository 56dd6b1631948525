// log.c - messages and errors: to the host's callback, and to standard error if WANE_LOG asks for it.
#include "core/core.h"

#include <stdio.h>

static wane_log_level level_of_name(const char *name)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) return (wane_log_level)(i + 1);
    return WANE_LOG_WARNING;
}

static void deliver(wane_context *context, const wane_log_record *record)
{
    if (context && context->desc.log && record->level <= context->desc.log_level)
        context->desc.log(context->desc.log_user, record);
    const char *wanted = wane_environment("WANE_LOG");
    if (wanted && record->level <= level_of_name(wanted))
        fprintf(stderr, "wane: %s%s%s\n", record->operand ? record->operand : "", record->operand ? ": " : "", record->text);
}

bool wane_logs(const wane_context *context, wane_log_level level)
{
    const char *wanted = wane_environment("WANE_LOG");
    return (context && context->desc.log && level <= context->desc.log_level) || (wanted && level <= level_of_name(wanted));
}

void wane_log(wane_context *context, wane_log_level level, const char *format, ...)
{
    if (!wane_logs(context, level)) return;
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    wane_log_record record = {level, WANE_OK, 0, NULL, text};
    deliver(context, &record);
}

wane_status wane_fail(wane_context *context, wane_status status, const char *operand, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    wane_log_record record = {WANE_LOG_ERROR, status, 0, operand, text};
    deliver(context, &record);
    return status;
}

wane_status wane_warn_data(wane_context *context, const char *faults)
{
    wane_log_record record = {WANE_LOG_WARNING, WANE_WARN_DATA, 0, NULL, faults};
    deliver(context, &record);
    return WANE_WARN_DATA;
}

wane_status wane_fail_native(wane_context *context, wane_status status, int32_t native, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    wane_log_record record = {WANE_LOG_ERROR, status, native, NULL, text};
    deliver(context, &record);
    return status;
}

wane_status wane_no_memory(wane_context *context)
{
    return wane_fail(context, WANE_ERROR_HOST_MEMORY, NULL, "out of host memory: the allocator returned NULL");
}
