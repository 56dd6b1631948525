// isolate.c - runs the cases in a child process, so that a driver that crashes or hangs costs one case.
//
// The child makes the context: many drivers do not survive a fork. It writes a record for each finished case into a
// pipe; the parent knows which case is under way, and starts a new child behind it when the child dies or is too slow.
#include "conform.h"

#include <string.h>
#include <time.h>

#if !defined(_WIN32)
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#define CAN_FORK 1
#endif

static double now_seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void run_timed(conform_session *session, const conform_case *c, conform_result *result)
{
    double start = now_seconds();
    conform_execute(session, c, result);
    result->seconds = now_seconds() - start;
}

static int open_failed(const conform_session *session, char *error, size_t error_bytes)
{
    bool absent = session->status == WANE_ERROR_NO_DEVICE;
    snprintf(error, error_bytes, "%s: %s", absent ? "no such device" : wane_status_text(session->status), session->log);
    return RUN_NO_DEVICE;
}

static int run_here(const conform_options *options, const conform_list *list, const conform_sink *sink, char *error,
                    size_t error_bytes)
{
    conform_session session;
    char head[1024];
    int ended = RUN_DONE;
    if (conform_session_open(&session, options->device, options->threads)) {
        conform_session_head(&session, head, sizeof head);
        sink->head(sink->user, head);
        for (size_t i = 0; i < list->count; i++) {
            conform_result result;
            sink->starts(sink->user, i);
            run_timed(&session, &list->cases[i], &result);
            sink->ends(sink->user, i, &result);
        }
    } else {
        ended = open_failed(&session, error, error_bytes);
    }
    conform_session_close(&session);
    return ended;
}

#ifdef CAN_FORK

enum { OPEN_SECONDS = 60 };                 // a driver's first start compiles much

typedef enum record_kind { RECORD_HEAD, RECORD_NO_DEVICE, RECORD_RESULT } record_kind;

typedef struct record {
    record_kind kind;
    size_t index;
    union { char text[1024]; conform_result result; } is;
} record;

static volatile sig_atomic_t interrupted;

static void on_signal(int number) { interrupted = number; }

static bool put(int fd, const record *r)
{
    const char *at = (const char *)r;
    for (size_t left = sizeof *r; left > 0;) {
        ssize_t n = write(fd, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        left -= (size_t)n;
    }
    return true;
}

static void child(const conform_options *options, const conform_list *list, size_t first, int fd)
{
    conform_session session;
    record r;
    memset(&r, 0, sizeof r);
    if (!conform_session_open(&session, options->device, options->threads)) {
        r.kind = RECORD_NO_DEVICE;
        open_failed(&session, r.is.text, sizeof r.is.text);
        put(fd, &r);
        conform_session_close(&session);
        return;
    }
    r.kind = RECORD_HEAD;
    conform_session_head(&session, r.is.text, sizeof r.is.text);
    bool heard = put(fd, &r);
    for (size_t i = first; i < list->count && heard; i++) {
        memset(&r, 0, sizeof r);
        r.kind = RECORD_RESULT;
        r.index = i;
        run_timed(&session, &list->cases[i], &r.is.result);
        heard = put(fd, &r);
    }
    conform_session_close(&session);
}

typedef enum got { GOT_RECORD, GOT_END, GOT_TIMEOUT, GOT_SIGNAL } got;

// Waits for a whole record until the deadline.
static got take(int fd, double deadline, record *r)
{
    for (size_t have = 0; have < sizeof *r;) {
        if (interrupted) return GOT_SIGNAL;
        double left = deadline - now_seconds();
        if (left <= 0) return GOT_TIMEOUT;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, left > 1 ? 1000 : (int)(left * 1000) + 1);
        if (ready <= 0) continue;
        ssize_t n = read(fd, (char *)r + have, sizeof *r - have);
        if (n == 0) return GOT_END;
        if (n > 0) have += (size_t)n;
        else if (errno != EINTR) return GOT_END;
    }
    return GOT_RECORD;
}

typedef struct parent {
    const conform_options *options;
    const conform_list *list;
    const conform_sink *sink;
    size_t next;                            // the case under way
    bool has_head;
    char *error;
    size_t error_bytes;
} parent;

static void lost(parent *p, conform_outcome outcome, double seconds, const char *message)
{
    conform_result result;
    memset(&result, 0, sizeof result);
    for (int i = 0; i < FIGURE_COUNT; i++) result.figures[i] = -1;
    result.outcome = outcome;
    result.seconds = seconds;
    snprintf(result.message, sizeof result.message, "%s", message);
    p->sink->ends(p->sink->user, p->next++, &result);
}

static void describe_end(int status, char *text, size_t capacity)
{
    if (WIFSIGNALED(status)) snprintf(text, capacity, "the process was ended by signal %d", WTERMSIG(status));
    else snprintf(text, capacity, "the process ended with exit code %d", WEXITSTATUS(status));
}

// What a child reports until it ends. `alive`: it was not over by itself.
static int follow(parent *p, int fd, bool *alive, got *last)
{
    const conform_sink *sink = p->sink;
    bool opened = false;
    for (;;) {
        record r;
        if (opened && p->next < p->list->count) sink->starts(sink->user, p->next);
        double open_seconds = opened ? 0 : OPEN_SECONDS;
        *last = take(fd, now_seconds() + p->options->timeout + open_seconds, &r);
        *alive = *last == GOT_TIMEOUT || *last == GOT_SIGNAL;
        if (*last != GOT_RECORD) return opened ? RUN_DONE : RUN_NO_DEVICE;
        if (r.kind == RECORD_NO_DEVICE) {
            snprintf(p->error, p->error_bytes, "%s", r.is.text);
            return RUN_NO_DEVICE;
        }
        if (r.kind == RECORD_HEAD && !p->has_head) sink->head(sink->user, r.is.text);
        if (r.kind == RECORD_HEAD) opened = p->has_head = true;
        if (r.kind == RECORD_RESULT) sink->ends(sink->user, p->next++, &r.is.result);
    }
}

// One child, from the case p->next on.
static int run_child(parent *p)
{
    int pipe_ends[2], status = 0;
    if (pipe(pipe_ends) != 0) {
        snprintf(p->error, p->error_bytes, "pipe: %s", strerror(errno));
        return RUN_NO_DEVICE;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        close(pipe_ends[0]);
        child(p->options, p->list, p->next, pipe_ends[1]);
        close(pipe_ends[1]);
        _exit(0);
    }
    close(pipe_ends[1]);
    if (pid < 0) {
        close(pipe_ends[0]);
        snprintf(p->error, p->error_bytes, "fork: %s", strerror(errno));
        return RUN_NO_DEVICE;
    }
    bool alive;
    got last;
    double start = now_seconds();
    int ended = follow(p, pipe_ends[0], &alive, &last);
    close(pipe_ends[0]);
    if (alive) kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (last == GOT_SIGNAL) return RUN_INTERRUPTED;
    if (ended == RUN_NO_DEVICE && !p->error[0]) {
        char how[96] = "the time is up";
        if (last != GOT_TIMEOUT) describe_end(status, how, sizeof how);
        snprintf(p->error, p->error_bytes, "the device could not be opened: %s", how);
    }
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (ended == RUN_DONE && (p->next < p->list->count || !clean)) {
        char how[96];
        describe_end(status, how, sizeof how);
        if (p->next == p->list->count) p->next--;   // it died while closing: the last case is judged once more
        lost(p, last == GOT_TIMEOUT ? OUTCOME_TIMEOUT : OUTCOME_CRASH, now_seconds() - start,
             last == GOT_TIMEOUT ? "the time is up (--timeout)" : how);
    }
    return ended;
}

static int run_children(const conform_options *options, const conform_list *list, const conform_sink *sink, char *error,
                        size_t error_bytes)
{
    struct sigaction action, old_int, old_term;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    interrupted = 0;
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    parent p = {.options = options, .list = list, .sink = sink, .error = error, .error_bytes = error_bytes};
    int ended = RUN_DONE;
    do ended = run_child(&p);
    while (ended == RUN_DONE && p.next < list->count);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    return ended;
}

#endif

int conform_run_all(const conform_options *options, const conform_list *list, const conform_sink *sink, char *error,
                    size_t error_bytes)
{
    error[0] = '\0';
#ifdef CAN_FORK
    if (!options->no_fork) return run_children(options, list, sink, error, error_bytes);
#endif
    return run_here(options, list, sink, error, error_bytes);
}
