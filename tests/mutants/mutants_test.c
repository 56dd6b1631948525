// mutants_test.c - the conformance list on the checked kernels: it passes as they are, and finds every seeded fault.
//
//     mutants_test [FAULT...] [-- ARGUMENT OF wane-conform...]
#include "mutants.h"

#include "wane_conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 60 };

typedef struct arguments {
    char *list[MOST];
    int count;
} arguments;

static void add(arguments *a, const char *text)
{
    if (a->count < MOST - 1) a->list[a->count++] = (char *)text;
}

// wane-conform in a process of its own, with a fault or without; what it says goes to the file. Its exit code, or -1.
static int conform(const mutant *fault, const arguments *more, FILE *said)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        arguments a = {.count = 0};
        add(&a, "mutants_test");
        add(&a, "--no-fork");
        if (fault) add(&a, "--stop-after"), add(&a, "1");
        for (int i = 0; i < more->count; i++) add(&a, more->list[i]);
        dup2(fileno(said), STDOUT_FILENO);
        dup2(fileno(said), STDERR_FILENO);
        if (fault) body_kernel_replace(fault->with_fault);
        int code = wane_conform_main(a.count, a.list);
        fflush(NULL);
        _exit(code);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
}

// The first line of what was said that tells of a failure, or the last one.
static void first_failure(FILE *said, char *line, int capacity)
{
    rewind(said);
    while (fgets(line, capacity, said))
        if (strncmp(line, "fail", 4) == 0 || strncmp(line, "crash", 5) == 0) break;
    line[strcspn(line, "\n")] = '\0';
    char *end = strchr(line, ' ');
    if (end) end = strstr(end + 10, "  ");
    if (end) *end = '\0';
}

static bool try_fault(const mutant *m, const arguments *more)
{
    char line[400] = "";
    if (!m->with_fault) {
        printf("LOST    %s: its text is no longer in the kernels: mend mutants.txt\n", m->name);
        return false;
    }
    FILE *said = tmpfile();
    if (!said) return false;
    int code = conform(m, more, said);
    first_failure(said, line, sizeof line);
    printf("%s %s (%s): %s\n", code == 1 ? "found  " : "MISSED ", m->name, m->kernel, line);
    fclose(said);
    return code == 1;
}

static bool passes_as_it_is(const arguments *more)
{
    FILE *said = tmpfile();
    char line[400] = "";
    if (!said) return false;
    int code = conform(NULL, more, said);
    rewind(said);
    while (fgets(line, sizeof line, said))
        if (code) fputs(line, stdout);
    printf("without a fault: %s", line);
    fclose(said);
    return code == 0;
}

static bool named(const mutant *m, char **names, int count)
{
    bool all = true;
    for (int i = 0; i < count; i++) {
        if (strcmp(names[i], m->name) == 0) return true;
        all = false;
    }
    return all;
}

int main(int argc, char **argv)
{
    arguments more = {.count = 0};
    int names = 0, tried = 0, found = 0;
    while (names + 1 < argc && strcmp(argv[names + 1], "--") != 0) names++;
    for (int i = names + 2; i < argc; i++) add(&more, argv[i]);
    bool good = passes_as_it_is(&more);
    for (const mutant *m = mutants; m->name; m++) {
        if (!named(m, argv + 1, names)) continue;
        tried++;
        found += try_fault(m, &more);
        fflush(stdout);
    }
    printf("%d of %d seeded faults found\n", found, tried);
    return good && tried && found == tried ? 0 : 1;
}
