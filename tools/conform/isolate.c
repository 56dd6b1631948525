// isolate.c - runs the cases in child processes (--jobs), so that a driver that crashes or hangs costs one case.
//
// A child makes its own context: many drivers do not survive a fork. It is told one case after the other, of one loss as
// long as there are, since most of the time goes into compiling kernels, which losses do not share; and answers each with a
// record. The parent knows which case is under way, and starts a new child behind it when the child dies, is too slow, or
// has lost the device.
#include "call.h"

#include <stdlib.h>
#include <string.h>

#if !defined(_WIN32)
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
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
    union { char text[1024]; conform_result result; } is;
} record;

static volatile sig_atomic_t interrupted;

static void on_signal(int number) { interrupted = number; }

// ---- the child ----

static bool put(int fd, const void *data, size_t bytes)
{
    const char *at = data;
    for (size_t left = bytes; left > 0;) {
        ssize_t n = write(fd, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        left -= (size_t)n;
    }
    return true;
}

// The next case; false when there is none.
static bool get(int fd, size_t *index)
{
    char *at = (char *)index;
    for (size_t left = sizeof *index; left > 0;) {
        ssize_t n = read(fd, at, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        at += n;
        left -= (size_t)n;
    }
    return true;
}

static int child(const conform_options *options, const conform_list *list, int fd)
{
    conform_session session;
    record r;
    size_t index;
    memset(&r, 0, sizeof r);
    if (!conform_session_open(&session, options)) {
        r.kind = RECORD_NO_DEVICE;
        open_failed(&session, r.is.text, sizeof r.is.text);
        put(fd, &r, sizeof r);
        conform_session_close(&session);
        return 0;
    }
    r.kind = RECORD_HEAD;
    conform_session_head(&session, r.is.text, sizeof r.is.text);
    bool heard = put(fd, &r, sizeof r), again = false;
    while (heard && !again && get(fd, &index)) {
        memset(&r, 0, sizeof r);
        r.kind = RECORD_RESULT;
        run_timed(&session, options->mode, &list->cases[index], &r.is.result);
        again = session.lost;
        heard = put(fd, &r, sizeof r);
    }
    conform_session_close(&session);
    return again ? EXIT_AGAIN : 0;
}

// ---- the parent ----

typedef struct worker {
    pid_t pid;                              // 0: none
    int fd;                                 // a socket: cases out, records in
    size_t now;                             // the case under way
    size_t next, end;                       // those that are its own to do
    bool opened, over;                      // over: no case is left for it, and r is the result of its last
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
    size_t fresh;                           // the first case that is nobody's
    bool has_head;
    int ended;
    char *error;
    size_t error_bytes;
} parent;

// Gives a worker its next case: of its own; else those of the next loss become its own; else half of what the busiest
// other one has left. False if there is none.
static bool take(parent *p, worker *w)
{
    const conform_case *cases = p->list->cases;
    if (w->next == w->end && p->fresh < p->list->count) {
        w->next = p->fresh;
        while (p->fresh < p->list->count && cases[p->fresh].loss == cases[w->next].loss) p->fresh++;
        w->end = p->fresh;
    } else if (w->next == w->end) {
        worker *most = w;
        for (uint32_t i = 0; i < p->jobs; i++)
            if (p->workers[i].end - p->workers[i].next > most->end - most->next) most = &p->workers[i];
        if (most == w) return false;
        w->end = most->end;
        w->next = most->end -= (most->end - most->next + 1) / 2;
    }
    w->now = w->next++;
    return true;
}

static void set_deadline(const parent *p, worker *w)
{
    w->since = conform_now();
    w->deadline = w->since + p->options->timeout + (w->opened ? 0 : OPEN_SECONDS);
}

// Tells the child its case. One that does not hear has died, and its end is heard of.
static void tell(parent *p, worker *w)
{
    p->sink->starts(p->sink->user, w->now);
    put(w->fd, &w->now, sizeof w->now);
}

// A child for the worker's case.
static void spawn(parent *p, worker *w)
{
    int ends[2];
    w->opened = w->over = false;
    w->have = 0;
    w->pid = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        snprintf(p->error, p->error_bytes, "socketpair: %s", strerror(errno));
        p->ended = RUN_NO_DEVICE;
        return;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        signal(SIGPIPE, SIG_DFL);
        close(ends[0]);
        for (uint32_t i = 0; i < p->jobs; i++)
            if (p->workers[i].pid) close(p->workers[i].fd);
        int code = child(p->options, p->list, ends[1]);
        close(ends[1]);
        _exit(code);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        snprintf(p->error, p->error_bytes, "fork: %s", strerror(errno));
        p->ended = RUN_NO_DEVICE;
        return;
    }
    w->pid = pid;
    w->fd = ends[0];
    set_deadline(p, w);
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
    if (!p->sink->ends(p->sink->user, w->now, &result)) p->ended = RUN_STOPPED;
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
        snprintf(p->error, p->error_bytes, "the device vanished before case %zu of %zu: %s", w->now + 1, p->list->count, why);
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
    bool clean = !timeout && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (w->over && (clean || again)) {
        if (!p->sink->ends(p->sink->user, w->now, &w->r.is.result)) p->ended = RUN_STOPPED;
        return;
    }
    // a child that dies while it closes the device takes its last case with it
    if (!again) lost(p, w, timeout ? OUTCOME_TIMEOUT : OUTCOME_CRASH, how);
    if (!w->over && p->ended == RUN_DONE && (again || take(p, w))) spawn(p, w);
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
        size_t done = w->now;
        w->over = !take(p, w);
        if (w->over) shutdown(w->fd, SHUT_WR);
        else if (!p->sink->ends(p->sink->user, done, &r->is.result)) p->ended = RUN_STOPPED;
    }
    set_deadline(p, w);
    if (!w->over && p->ended == RUN_DONE) tell(p, w);
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
    struct sigaction action, old_int, old_term, old_pipe;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    interrupted = 0;
    sigaction(SIGINT, &action, &old_int);
    sigaction(SIGTERM, &action, &old_term);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, &old_pipe);
    if (!p.workers || !polls || !polled) {
        snprintf(error, error_bytes, "no memory for the list of jobs");
        p.ended = RUN_NO_DEVICE;
    }
    for (uint32_t i = 0; i < p.jobs && p.ended == RUN_DONE; i++) {
        if (take(&p, &p.workers[i])) spawn(&p, &p.workers[i]);
    }
    while (p.ended == RUN_DONE && !interrupted && attend(&p, polls, polled)) continue;
    for (uint32_t i = 0; p.workers && i < p.jobs; i++)
        if (p.workers[i].pid) reap(&p.workers[i], true);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    sigaction(SIGPIPE, &old_pipe, NULL);
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
