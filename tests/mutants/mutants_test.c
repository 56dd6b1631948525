// mutants_test.c - the conformance list on kernels with a fault: it passes as they are, and finds every seeded fault.
//
//     mutants_checked|mutants_vulkan|mutants_opencl [FAULT...] [-- ARGUMENT OF wane-conform...]
//
// A fault needs only cases of the kernel it is in: cases_<first word of its name>.txt, or those of softmax.
#include "mutants.h"

#include "wane_conform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const mutant mutants[] = {
#define MUTANT(name, kernel, folder, hidden) {#name, #kernel, folder, hidden},
#define MUTANT_LOST(name, kernel) {#name, #kernel, NULL, ""},
#include "mutants.def"
#undef MUTANT
#undef MUTANT_LOST
    {NULL, NULL, NULL, NULL}};

enum { MOST = 60 };

typedef struct arguments {
    char *list[MOST];
    int count;
} arguments;

static volatile int *taken;                 // shared with the processes that run cases

void mutant_taken(void) { *taken = 1; }

void *mutant_read(const char *path, size_t *bytes)
{
    FILE *f = fopen(path, "rb");
    long size = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    char *data = size > 0 ? malloc((size_t)size) : NULL;
    if (f) rewind(f);
    if (data && fread(data, 1, (size_t)size, f) != (size_t)size) {
        free(data);
        data = NULL;
    }
    if (f) fclose(f);
    *bytes = data ? (size_t)size : 0;
    return data;
}

static void add(arguments *a, const char *text)
{
    if (a->count < MOST - 1) a->list[a->count++] = (char *)text;
}

// Why a fault need not show here; empty where it must.
static const char *hidden(const mutant *m)
{
    size_t word = strcspn(m->hidden, ":");
    if (!mutant_hides || !m->hidden[word]) return mutant_hides ? m->hidden : "";
    return strlen(mutant_device) == word && strncmp(m->hidden, mutant_device, word) == 0 ? m->hidden + word + 2 : "";
}

static void cases_of(const char *kernel, char *path, size_t capacity)
{
    snprintf(path, capacity, "%s/cases_%.*s.txt", MUTANT_CASES, (int)strcspn(kernel, "_"), kernel);
    if (access(path, R_OK) != 0) snprintf(path, capacity, "%s/cases_softmax.txt", MUTANT_CASES);
}

static int conform_here(const mutant *fault, const char *kernel, const arguments *more)
{
    char cases[1024];
    wane_context_desc desc;
    arguments a = {.count = 0};
    memset(&desc, 0, sizeof desc);
    desc.struct_size = sizeof desc;
    cases_of(kernel, cases, sizeof cases);
    const char *const first[] = {"mutants_test", "--device", mutant_device, "--caselist", cases};
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) add(&a, first[i]);
    if (fault) add(&a, "--stop-after"), add(&a, "1");
    if (fault && hidden(fault)[0]) add(&a, "--share"), add(&a, "8");
    for (int i = 0; i < more->count; i++) add(&a, more->list[i]);
    if (fault && !mutant_plant(fault, &desc)) {
        printf("its texts cannot be read: build the target mutant_texts\n");
        return 2;
    }
    return wane_conform_main_with(a.count, a.list, &desc);
}

// wane-conform in a process of its own, with a fault or without; what it says goes to the file. Its exit code, or -1.
static int conform(const mutant *fault, const char *kernel, const arguments *more, FILE *said)
{
    fflush(NULL);
    *taken = 0;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fileno(said), STDOUT_FILENO);
        dup2(fileno(said), STDERR_FILENO);
        int code = conform_here(fault, kernel, more);
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
        if (strncmp(line, "fail", 4) == 0 || strncmp(line, "crash", 5) == 0 || strncmp(line, "timeout", 7) == 0) break;
    line[strcspn(line, "\n")] = '\0';
    char *end = strchr(line, ' ');
    if (end) end = strstr(end + 10, "  ");
    if (end) *end = '\0';
}

typedef enum verdict { FOUND, HIDDEN, MISSED, VERDICTS } verdict;

static verdict try_fault(const mutant *m, const arguments *more)
{
    static const char *const words[] = {"found  ", "hidden ", "MISSED "};
    char line[1200] = "";
    if (!m->folder) {
        printf("LOST    %s: its text is no longer in the kernels: mend mutants.txt\n", m->name);
        return MISSED;
    }
    FILE *said = tmpfile();
    if (!said) return MISSED;
    int code = conform(m, m->kernel, more, said);
    first_failure(said, line, sizeof line);
    // 3: the library's own test of the device found it
    verdict v = *taken && (code == 1 || code == 3) ? FOUND : *taken && code == 0 && hidden(m)[0] ? HIDDEN : MISSED;
    printf("%s %s (%s): %s\n", words[v], m->name, m->kernel,
           v == HIDDEN ? hidden(m) : *taken || code ? line : "no case runs its kernel");
    fclose(said);
    return v;
}

static bool passes_as_it_is(const char *kernel, const arguments *more)
{
    FILE *said = tmpfile();
    char line[1200] = "";
    if (!said) return false;
    int code = conform(NULL, kernel, more, said);
    rewind(said);
    while (fgets(line, sizeof line, said))
        if (code) fputs(line, stdout);
    printf("without a fault, cases of %s: %s", kernel, line);
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
    int names = 0, counts[VERDICTS] = {0};
    while (names + 1 < argc && strcmp(argv[names + 1], "--") != 0) names++;
    for (int i = names + 2; i < argc; i++) add(&more, argv[i]);
    void *shared = mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return 2;
    taken = shared;
    // once for each list of cases
    bool good = true;
    char lists[8][1024];
    int known = 0;
    for (const mutant *m = mutants; m->name; m++) {
        char list[1024];
        int at = 0;
        cases_of(m->kernel, list, sizeof list);
        while (at < known && strcmp(lists[at], list) != 0) at++;
        if (!named(m, argv + 1, names) || at < known || known == 8) continue;
        strcpy(lists[known++], list);
        good = passes_as_it_is(m->kernel, &more) && good;
        fflush(stdout);
    }
    for (const mutant *m = mutants; m->name; m++) {
        if (!named(m, argv + 1, names)) continue;
        counts[try_fault(m, &more)]++;
        fflush(stdout);
    }
    printf("%d seeded faults found, %d hidden by the device, %d missed\n", counts[FOUND], counts[HIDDEN], counts[MISSED]);
    return good && counts[FOUND] && !counts[MISSED] ? 0 : 1;
}
