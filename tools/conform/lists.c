// lists.c - files of lines: cases to run (--caselist), failures of an earlier run (--baseline), excused ones (--waivers).
#include "conform.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *text, size_t length)
{
    char *to = malloc(length + 1);
    if (to) {
        memcpy(to, text, length);
        to[length] = '\0';
    }
    return to;
}

static void free_lines(char **lines)
{
    for (size_t i = 0; lines && lines[i]; i++) free(lines[i]);
    free(lines);
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    size_t bytes = 0, got = 1;
    while (f && got) {
        char *larger = realloc(text, bytes + 65536 + 1);
        if (!larger) break;
        text = larger;
        got = fread(text + bytes, 1, 65536, f);
        bytes += got;
    }
    // a folder can be opened, but not read
    if (!f || got || ferror(f)) {
        fprintf(stderr, "wane-conform: %s cannot be read: %s\n", path, strerror(errno));
        free(text);
        text = NULL;
    } else {
        text[bytes] = '\0';
    }
    if (f) fclose(f);
    return text;
}

// Lines without their ends; empty ones and those that begin with # are left out.
static char **read_lines(const char *path)
{
    char *text = read_all(path);
    size_t most = 2, count = 0;
    for (const char *at = text; at && *at; at++) most += *at == '\n';
    char **lines = text ? calloc(most, sizeof *lines) : NULL;
    for (const char *at = text; lines && *at;) {
        size_t length = strcspn(at, "\r\n");
        if (length && *at != '#') lines[count++] = copy(at, length);
        at += length + strspn(at + length, "\r\n");
    }
    free(text);
    return lines;
}

// A baseline is a list of names, or the CSV of an earlier run, of which the failures count: leaves a name or NULL.
static bool keep_failure(char *line)
{
    if (strncmp(line, "name,", 5) == 0) return false;
    if (line[0] != '"') return true;
    char *end = strchr(line + 1, '"');
    if (!end || end[1] != ',') return false;
    size_t length = strcspn(end + 2, ",");
    bool failed = false;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        if (strlen(conform_outcome_names[i]) == length && strncmp(conform_outcome_names[i], end + 2, length) == 0)
            failed = conform_bad((conform_outcome)i) || i == OUTCOME_KNOWN || i == OUTCOME_WAIVED;
    *end = '\0';
    memmove(line, line + 1, strlen(line));
    return failed;
}

static void keep_failures(char **lines)
{
    size_t kept = 0;
    for (size_t i = 0; lines[i]; i++) {
        char *line = lines[i];
        lines[i] = NULL;
        if (keep_failure(line)) lines[kept++] = line;
        else free(line);
    }
}

// GLOB of a case | GLOB of what the head says of the device | reason
static bool check_waivers(const char *path, char **lines)
{
    for (size_t i = 0; lines[i]; i++) {
        const char *first = strchr(lines[i], '|'), *second = first ? strchr(first + 1, '|') : NULL;
        if (second && second[1 + strspn(second + 1, " ")]) continue;
        fprintf(stderr, "wane-conform: %s: \"%s\" is not GLOB OF CASES | GLOB OF DEVICE AND DRIVER | REASON\n", path, lines[i]);
        return false;
    }
    return true;
}

bool conform_lists_open(conform_lists *lists, const conform_options *options)
{
    memset(lists, 0, sizeof *lists);
    if (options->caselist && !(lists->caselist = read_lines(options->caselist))) return false;
    if (options->baseline && !(lists->baseline = read_lines(options->baseline))) return false;
    if (options->waivers && !(lists->waivers = read_lines(options->waivers))) return false;
    if (lists->baseline) keep_failures(lists->baseline);
    size_t count = 0;
    while (lists->caselist && lists->caselist[count]) count++;
    lists->seen = calloc(count + 1, sizeof *lists->seen);
    return lists->seen && (!lists->waivers || check_waivers(options->waivers, lists->waivers));
}

void conform_lists_close(conform_lists *lists)
{
    free_lines(lists->caselist);
    free_lines(lists->baseline);
    free_lines(lists->waivers);
    free(lists->seen);
    memset(lists, 0, sizeof *lists);
}

bool conform_listed(const conform_lists *lists, const char *name)
{
    bool listed = !lists->caselist;
    for (size_t i = 0; lists->caselist && lists->caselist[i]; i++)
        if (conform_glob(lists->caselist[i], name)) listed = lists->seen[i] = true;
    return listed;
}

bool conform_known_failure(const conform_lists *lists, const char *name)
{
    for (size_t i = 0; lists->baseline && lists->baseline[i]; i++)
        if (strcmp(lists->baseline[i], name) == 0) return true;
    return false;
}

static bool field_matches(const char *from, const char *to, const char *text)
{
    from += strspn(from, " \t");
    while (to > from && (to[-1] == ' ' || to[-1] == '\t')) to--;
    char *pattern = copy(from, (size_t)(to - from));
    bool matches = pattern && conform_glob(pattern, text);
    free(pattern);
    return matches;
}

const char *conform_waiver(const conform_lists *lists, const char *name, const char *head)
{
    for (size_t i = 0; lists->waivers && lists->waivers[i]; i++) {
        const char *line = lists->waivers[i], *first = strchr(line, '|'), *second = strchr(first + 1, '|');
        if (field_matches(line, first, name) && field_matches(first + 1, second, head)) return second + 1 + strspn(second + 1, " ");
    }
    return NULL;
}
