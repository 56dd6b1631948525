// json.h - JSON output of the tools, made with cJSON. Running out of memory while building one ends in a message of
// tool_json_print, so that builders need not check.
#ifndef WANE_TOOLS_COMMON_JSON_H
#define WANE_TOOLS_COMMON_JSON_H

#include "common/session.h"

#include <cjson/cJSON.h>

#include <stdio.h>

// Writes the object and a newline, and deletes it. Returns an exit code; reports a failure.
int tool_json_print(cJSON *json, FILE *file);
// An array of the parts of `text` between the separators: "none|mean|sum", '|'.
cJSON *tool_json_split(const char *text, char separator);
// The limits of a device as an object.
cJSON *tool_json_limits(const wane_limits *limits);
// A device as wane-info shows it: backend, id, name, driver, tier, usable, reason, hardware, quirks, limits.
cJSON *tool_json_device(const wane_device_info *info);

#endif
