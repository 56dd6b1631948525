// json.c - see json.h.
#include "common/json.h"

#include <errno.h>
#include <string.h>

int tool_json_print(cJSON *json, FILE *file)
{
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (!text) {
        tool_error("out of memory while writing JSON");
        return TOOL_FAILED;
    }
    bool done = fputs(text, file) >= 0 && fputc('\n', file) != EOF && fflush(file) == 0;
    if (!done) tool_error("JSON cannot be written: %s", strerror(errno));
    cJSON_free(text);
    return done ? TOOL_OK : TOOL_FAILED;
}

cJSON *tool_json_split(const char *text, char separator)
{
    cJSON *array = cJSON_CreateArray();
    const char separators[2] = {separator, 0};
    while (*text) {
        char part[256];
        while (*text == ' ') text++;          // "a, b" has two parts without blanks
        size_t length = strcspn(text, separators);
        snprintf(part, sizeof part, "%.*s", (int)length, text);
        if (part[0]) cJSON_AddItemToArray(array, cJSON_CreateString(part));
        text += length + (text[length] != 0);
    }
    return array;
}

cJSON *tool_json_limits(const wane_limits *limits)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "max_lanes", limits->max_lanes);
    cJSON_AddNumberToObject(json, "shared_bytes", limits->shared_bytes);
    cJSON_AddNumberToObject(json, "max_window_bytes", (double)limits->max_window_bytes);
    cJSON_AddNumberToObject(json, "max_buffer_bytes", (double)limits->max_buffer_bytes);
    cJSON_AddNumberToObject(json, "offset_align_bytes", limits->offset_align_bytes);
    cJSON_AddNumberToObject(json, "max_groups", limits->max_groups);
    cJSON_AddNumberToObject(json, "max_dispatch_elems", (double)limits->max_dispatch_elems);
    cJSON_AddNumberToObject(json, "split_rows_below", limits->split_rows_below);
    cJSON_AddNumberToObject(json, "linear_slice_cols", limits->linear_slice_cols);
    cJSON_AddNumberToObject(json, "linear_chunk_dim", limits->linear_chunk_dim);
    return json;
}

cJSON *tool_json_device(const wane_device_info *info)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "id", info->id);
    cJSON_AddStringToObject(json, "backend", info->backend);
    cJSON_AddStringToObject(json, "name", info->name);
    cJSON_AddStringToObject(json, "driver", info->driver);
    cJSON_AddBoolToObject(json, "hardware", info->is_hardware_gpu != 0);
    cJSON_AddNumberToObject(json, "tier", info->limits.tier);
    cJSON_AddBoolToObject(json, "usable", info->usable != 0);
    cJSON_AddStringToObject(json, "reason", info->reason);
    cJSON_AddItemToObject(json, "limits", tool_json_limits(&info->limits));
    cJSON_AddItemToObject(json, "quirks", tool_json_split(info->quirks, ','));
    return json;
}
