// session.h - what every tool does alike: exit codes, messages, a context whose errors reach the user once, a device
// by name.
#ifndef WANE_TOOLS_COMMON_SESSION_H
#define WANE_TOOLS_COMMON_SESSION_H

#include <wane/wane.h>

#include <stdbool.h>

enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_NO_DEVICE = 3, TOOL_NOTHING_RAN = 77 };

// The name that messages begin with. Call it first.
void tool_begin(const char *program);
// "program: text\n" to standard error.
__attribute__((format(printf, 1, 2))) void tool_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void tool_warning(const char *format, ...);
// Says that --help helps. Returns TOOL_USAGE.
int tool_usage(void);
// Flushes standard output. TOOL_FAILED, with a message, where that fails (a full disk, a closed pipe), else `code`.
int tool_end(int code);

typedef struct tool_session {
    wane_context *context;
    // The latest error of the library: kept until a call fails, because an error that the library got over (a GPU that
    // `auto` passed by) is not one of the user's.
    wane_status status;
    char operand[64];
    char text[1024];
    char faults[256];                       // of the data of the last call that returned WANE_WARN_DATA
} tool_session;

// Makes a context. desc may be NULL or say what differs from the default; its log is the session's. Returns an exit
// code.
int tool_open(tool_session *session, const wane_context_desc *desc);
void tool_close(tool_session *session);

// Reports a failed call once, in the library's words: "program: logits (x.npy): has rank 1 ...". `file` stands behind
// the operand if not NULL; its name is session->operand. Returns the exit code that fits.
int tool_report(tool_session *session, wane_status status, const char *file);

// Finds a device by the name that the user gave with --device (NULL: none was given). Reports, and lists what there is,
// if there is none. Returns an exit code.
int tool_device(tool_session *session, const char *name, wane_device **out);
// Between the two, work that may have a driver compile kernels: what takes longer than a second is said on standard error.
typedef struct tool_wait tool_wait;
tool_wait *tool_wait_begin(const char *what);              // NULL, which tool_wait_end takes too, when memory runs out
void tool_wait_end(tool_wait *wait);
// Info with struct_size set; zeros, and "" for texts, where the library cannot say.
wane_device_info tool_device_info(wane_device *device);

#endif
