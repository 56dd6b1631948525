// command.h - runs a tool as a user does, in a folder of its own, and keeps what it printed.
#ifndef WANE_TESTS_TOOLS_COMMAND_H
#define WANE_TESTS_TOOLS_COMMAND_H

#include "common/array.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>

#include <cmocka.h>

#include <stdbool.h>

// What the last command printed.
extern char command_out[1 << 20], command_err[65536];

// Makes an empty folder for this test program and goes there.
void command_start(const char *name);
// Runs a shell command of the format; returns its exit code.
__attribute__((format(printf, 1, 2))) int command_run(const char *format, ...);

#define assert_printed(text) command_expect(command_out, text, "standard output", __FILE__, __LINE__)
#define assert_said(text) command_expect(command_err, text, "standard error", __FILE__, __LINE__)
void command_expect(const char *printed, const char *text, const char *stream, const char *file, int line);

bool command_exists(const char *path);
// Files of the folder whose name holds the text.
int command_count(const char *text);

// .npy files from literals, and back.
void command_save(const char *path, int dtype, uint32_t rank, const int64_t *extents, const void *data);
void command_load(const char *path, tool_array *out);
void command_bytes(const char *path, const void *data, size_t bytes);

// logits.npy f32 [3, 4] and target.npy i64 [3], from which most tests start.
extern const float command_logits[12];
extern const int64_t command_target[3];
void command_problem(void);

#endif
