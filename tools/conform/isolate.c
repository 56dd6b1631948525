// isolate.c - runs the cases in child processes (--jobs), so that a driver that crashes or hangs costs one case.
//
// A child makes its own context: many drivers do not survive a fork. It runs every jobs-th case and writes a record for
// each finished one into a pipe; the parent knows which case is under way, and starts a new child behind it when the child
// dies, is too slow, or has lost the device.
#include "call.h"

#include <stdlib.h>
#include <string.h>

#if !defined(_WIN32)
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#define CAN_FORK 1
#endif

static void run_timed(conform_session *session, conform_mode mode, const conform_case *c, conform_result *result)
{
    double start = conform_now();
    session->lost = false;
    if (mode == MODE_GRAD) conform_execute_grad(session, c, result);
    else if (mode == MODE_PERF) conform_execute_perf(session, c, result);
    else conform_execute(session, c, result);
    result->seconds = conform_now() - start;
}

static int open_failed(const conform_session *session, char *error, size_t error_bytes)
{
    bool absent = session->status == WANE_ERROR_NO_DEVICE;
    snprintf(error, error_bytes, "%s: %s", absent ? "no such device" : wane_status_text(session->status), session->log);
    return RUN_NO_DEVICE;
}

static bool reopen(conform_session *session, const conform_options *options)
{
    conform_session_close(session);
    return conform_session_open(session, options);
}

static int run_here(const conform_options *options, const conform_list *list, const conform_sink *sink, char *error,
                    size_t error_bytes)
{
    conform_session session;
    char head[1024];
    int ended = RUN_DONE;
    if (conform_session_open(&session, options)) {
        conform_session_head(&session, head, sizeof head);
        sink->head(sink->user, head);
        for (size_t i = 0; i < list->count; i++) {
            conform_result result;
            sink->starts(sink->user, i);
            run_timed(&session, options->mode, &list->cases[i], &result);
            if (!sink->ends(sink->user, i, &result)) {
                ended = RUN_STOPPED;
                break;
            }
            if (session.lost && !reopen(&session, options)) {
                snprintf(error, error_bytes, "the device is lost after %zu of %zu cases", i + 1, list->count);
                ended = RUN_NO_DEVICE;
                break;
            }
        }
    } else {
        ended = open_failed(&session, error, error_bytes);
    }
    conform_session_close(&session);
    return ended;
}

#ifdef CAN_FORK

enum { OPEN_SECONDS = 60, EXIT_AGAIN = 9 };  // a driver's first start compiles much; a child that lost the device

typedef enum record_kind { RECORD_HEAD, RECORD_NO_DEVICE, RECORD_RESULT } record_kind;

typedef struct record {
    record_kind kind;
    size_t index;
    union { char text[1024]; conform_result result; } is;
} record;

static volatile sig_atomic_t interrupted;

static void on_signal(int number) { interrupted = number; }

// ---- the child ----

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

static int child(const conform_options *options, const conform_list *list, size_t first, size_t step, int fd)
{
    conform_session session;
    record r;
    memset(&r, 0, sizeof r);
    if (!conform_session_open(&session, options)) {
        r.kind = RECORD_NO_DEVICE;
        open_failed(&session, r.is.text, sizeof r.is.text);
        put(fd, &r);
        conform_session_close(&session);
        return 0;
    }
    r.kind = RECORD_HEAD;
    conform_session_head(&session, r.is.text, sizeof r.is.text);
    bool heard = put(fd, &r), again = false;
    for (size_t i = first; i < list->count && heard && !again; i += step) {
        memset(&r, 0, sizeof r);
        r.kind = RECORD_RESULT;
        r.index = i;
        run_timed(&session, options->mode, &list->cases[i], &r.is.result);
        again = session.lost;
        heard = put(fd, &r);
    }
    conform_session_close(&session);
    return again ? EXIT_AGAIN : 0;
}

// ---- the parent ----

typedef struct worker {
    pid_t pid;                              // 0: none
    int fd;
    size_t next;                            // the case under way
    bool opened;
    double since, deadline;
    record r;
    size_t have;                            // bytes of r
} worker;

typedef struct parent {
    const conform_options *options;
    const conform_list *list;
    const conform_sink *sink;
    worker *workers;
    uint32_t jobs;
    bool has_head;
    int ended;
    char *error;
    size_t error_bytes;
} parent;

static void starts(parent *p, worker *w)
{
    w->since = conform_now();
    w->deadline = w->since + p->options->timeout + (w->opened ? 0 : OPEN_SECONDS);
    if (w->opened && w->next < p->list->count) p->sink->starts(p->sink->user, w->next);
}

static void spawn(parent *p, worker *w)
{
    int pipe_ends[2];
    w->opened = false;
    w->have = 0;
    w->pid = 0;
    if (pipe(pipe_ends) != 0) {
        snprintf(p->error, p->error_bytes, "pipe: %s", strerror(errno));
        p->ended = RUN_NO_DEVICE;
        return;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        close(pipe_ends[0]);
        int code = child(p->options, p->list, w->next, p->jobs, pipe_ends[1]);
        close(pipe_ends[1]);
        _exit(code);
    }
    close(pipe_ends[1]);
    if (pid < 0) {
        close(pipe_ends[0]);
        snprintf(p->error, p->error_bytes, "fork: %s", strerror(errno));
        p->ended = RUN_NO_DEVICE;
        return;
    }
    w->pid = pid;
    w->fd = pipe_ends[0];
    starts(p, w);
}

static int reap(worker *w, bool alive)
{
    int status = 0;
    close(w->fd);
    if (alive) kill(w->pid, SIGKILL);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR) continue;
    w->pid = 0;
    return status;
}

static void lost(parent *p, worker *w, conform_outcome outcome, const char *message)
{
    conform_result result;
    memset(&result, 0, sizeof result);
    for (int i = 0; i < FIGURE_COUNT; i++) result.figures[i] = -1;
    result.outcome = outcome;
    result.seconds = conform_now() - w->since;
    snprintf(result.message, sizeof result.message, "%s", message);
    if (!p->sink->ends(p->sink->user, w->next, &result)) p->ended = RUN_STOPPED;
    w->next += p->jobs;
}

static void describe_end(int status, char *text, size_t capacity)
{
    if (WIFSIGNALED(status)) snprintf(text, capacity, "the process was ended by signal %d", WTERMSIG(status));
    else snprintf(text, capacity, "the process ended with exit code %d", WEXITSTATUS(status));
}

static void no_device(parent *p, const worker *w, const char *why)
{
    p->ended = RUN_NO_DEVICE;
    if (p->error[0]) return;
    if (p->has_head)
        snprintf(p->error, p->error_bytes, "the device vanished before case %zu of %zu: %s", w->next + 1, p->list->count, why);
    else
        snprintf(p->error, p->error_bytes, "%s", why);
}

// The child is over, or its time is up. What it had not finished goes on in another one.
static void ends(parent *p, worker *w, bool timeout)
{
    bool opened = w->opened;
    int status = reap(w, timeout);
    char how[96] = "the time is up (--timeout)", why[160];
    if (!timeout) describe_end(status, how, sizeof how);
    if (!opened) {
        snprintf(why, sizeof why, "the device could not be opened: %s", how);
        no_device(p, w, why);
        return;
    }
    bool again = !timeout && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_AGAIN;
    bool clean = again || (!timeout && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    bool over = w->next >= p->list->count;
    if (over && !clean) w->next -= p->jobs;     // it died while closing: the last case is judged once more
    if (!(over ? clean : again)) lost(p, w, timeout ? OUTCOME_TIMEOUT : OUTCOME_CRASH, how);
    if (w->next < p->list->count && p->ended == RUN_DONE) spawn(p, w);
}

static void heard(parent *p, worker *w)
{
    const record *r = &w->r;
    w->have = 0;
    if (r->kind == RECORD_NO_DEVICE) {
        char why[1024];
        snprintf(why, sizeof why, "%s", r->is.text);
        reap(w, true);
        no_device(p, w, why);
        return;
    }
    if (r->kind == RECORD_HEAD) {
        if (!p->has_head) p->sink->head(p->sink->user, r->is.text);
        w->opened = p->has_head = true;
    } else {
        if (!p->sink->ends(p->sink->user, r->index, &r->is.result)) p->ended = RUN_STOPPED;
        w->next = r->index + p->jobs;
    }
    starts(p, w);
}

static void listen_to(parent *p, worker *w)
{
    ssize_t n = read(w->fd, (char *)&w->r + w->have, sizeof w->r - w->have);
    if (n < 0 && errno == EINTR) return;
    if (n > 0) w->have += (size_t)n;
    if (w->have == sizeof w->r) heard(p, w);
    else if (n <= 0) ends(p, w, false);
}

// One round: waits for news or a deadline. False when nobody works any more.
static bool attend(parent *p, struct pollfd *polls, worker **polled)
{
    nfds_t count = 0;
    double now = conform_now(), left = 1;
    for (uint32_t i = 0; i < p->jobs; i++) {
        worker *w = &p->workers[i];
        if (!w->pid) continue;
        polled[count] = w;
        polls[count].fd = w->fd;
        polls[count++].events = POLLIN;
        if (w->deadline - now < left) left = w->deadline - now;
    }
    if (!count) return false;
    int ready = poll(polls, count, left > 0 ? (int)(left * 1000) + 1 : 0);
    now = conform_now();
    for (nfds_t i = 0; i < count && !interrupted && p->ended == RUN_DONE; i++) {
        if (ready > 0 && polls[i].revents) listen_to(p, polled[i]);
        else if (polled[i]->pid && now > polled[i]->deadline) ends(p, polled[i], true);
    }
    return true;
}

static int run_children(const conform_options *options, const conform_list *list, const conform_sink *sink, char *error,
                        size_t error_bytes)
{
    parent p = {.options = options, .list = list, .sink = sink, .error = error, .error_bytes = error_bytes, .ended = RUN_DONE};
    p.jobs = options->jobs < list->count ? options->jobs : (uint32_t)list->count;
    p.workers = calloc(p.jobs, sizeof *p.workers);
    struct pollfd *polls = calloc(p.jobs, sizeof *polls);
    worker **polled = calloc(p.jobs, sizeof *polled);
    struct sigaction action, old_int, old_term;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    interrupted = 0;
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    if (!p.workers || !polls || !polled) {
        snprintf(error, error_bytes, "no memory for the list of jobs");
        p.ended = RUN_NO_DEVICE;
    }
    for (uint32_t i = 0; i < p.jobs && p.ended == RUN_DONE; i++) {
        p.workers[i].next = i;
        spawn(&p, &p.workers[i]);
    }
    while (p.ended == RUN_DONE && !interrupted && attend(&p, polls, polled)) continue;
    for (uint32_t i = 0; p.workers && i < p.jobs; i++)
        if (p.workers[i].pid) reap(&p.workers[i], true);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    free(p.workers);
    free(polls);
    free(polled);
    return interrupted ? RUN_INTERRUPTED : p.ended;
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
