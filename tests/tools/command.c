// command.c - see command.h.
#include "command.h"

#include "common/npy.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char command_out[1 << 20], command_err[65536];

const float command_logits[12] = {1.0f, 2.0f, 3.0f, 4.0f, 0.5f, -0.25f, 0.0f, 2.0f, -1.0f, 5.0f, 0.125f, -3.0f};
const int64_t command_target[3] = {2, 3, 0};

void command_start(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.files", TEST_FOLDER, name);
    mkdir(path, 0777);
    assert_int_equal(chdir(path), 0);
    DIR *folder = opendir(".");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') remove(entry->d_name);
    closedir(folder);
    unsetenv("WANE_DEVICE");
    unsetenv("WANE_LOG");
}

static void slurp(const char *path, char *text, size_t capacity)
{
    FILE *file = fopen(path, "rb");
    size_t got = file ? fread(text, 1, capacity - 1, file) : 0;
    text[got] = 0;
    if (file) fclose(file);
}

int command_run(const char *format, ...)
{
    char text[8192];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text - 64, format, list);
    va_end(list);
    assert_in_range(length, 0, sizeof text - 65);
    strcat(text, " >.stdout 2>.stderr");
    int status = system(text);
    slurp(".stdout", command_out, sizeof command_out);
    slurp(".stderr", command_err, sizeof command_err);
    if (!WIFEXITED(status)) fail_msg("did not exit: %s\n%s", text, command_err);
    return WEXITSTATUS(status);
}

void command_expect(const char *printed, const char *text, const char *stream, const char *file, int line)
{
    if (strstr(printed, text)) return;
    print_error("expected \"%s\" on %s, which is:\n%s\n", text, stream, printed);
    _fail(file, line);
}

bool command_exists(const char *path) { return access(path, F_OK) == 0; }

int command_count(const char *text)
{
    int count = 0;
    DIR *folder = opendir(".");
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) count += strstr(entry->d_name, text) != NULL;
    closedir(folder);
    return count;
}

void command_save(const char *path, int dtype, uint32_t rank, const int64_t *extents, const void *data)
{
    char error[512];
    tool_array array;
    assert_true(tool_array_make(&array, dtype, rank, extents));
    if (array.bytes) memcpy(array.data, data, array.bytes);
    remove(path);
    if (!npy_write(path, &array, error, sizeof error)) fail_msg("%s: %s", path, error);
    tool_array_free(&array);
}

void command_load(const char *path, tool_array *out)
{
    char error[512];
    if (!npy_read(path, 0, out, error, sizeof error)) fail_msg("%s: %s", path, error);
}

void command_bytes(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

void command_problem(void)
{
    command_save("logits.npy", WANE_DTYPE_F32, 2, (const int64_t[]){3, 4}, command_logits);
    command_save("target.npy", WANE_DTYPE_I64, 1, (const int64_t[]){3}, command_target);
}
