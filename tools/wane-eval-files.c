// wane-eval-files.c - the .npy files that a problem comes from and goes to, and what is printed of it.
#define _XOPEN_SOURCE 700                  // realpath
#include "wane-eval.h"

#include "common/npy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// ---- inputs -------------------------------------------------------------------------------------------------------

// Types that a file may have and the library has not: unsigned labels become i64, which holds them all.
static int fit_type(eval_operand *operand, const char *file)
{
    uint32_t types = operand->role->types;
    int dtype = operand->array.dtype;
    bool is_index = dtype == TOOL_DTYPE_U8 || dtype == WANE_DTYPE_U32;
    if (dtype < 32 && types & 1u << dtype) return TOOL_OK;
    if (is_index && types & 1u << WANE_DTYPE_I64) {
        if (tool_array_widen(&operand->array)) return TOOL_OK;
        tool_error("%s (%s): out of memory", operand->role->name, file);
        return TOOL_FAILED;
    }
    if (wane_dtype_bytes((wane_dtype)dtype)) return TOOL_OK;      // the library says it in its own words
    char names[64];
    tool_error("%s (%s): has type %s; it takes %s: convert it with x.astype(...)", operand->role->name, file,
               tool_dtype_name(dtype), tool_types_text(types, names, sizeof names));
    return TOOL_FAILED;
}

int eval_read_inputs(eval_problem *problem)
{
    char error[512];
    for (uint32_t i = 0; i < problem->operand_count; i++) {
        eval_operand *operand = &problem->operands[i];
        const char *file = operand->output ? operand->start_file : operand->file;
        if (!file) continue;
        if (!npy_read(file, problem->bf16 ? NPY_BF16 : 0, &operand->array, error, sizeof error)) {
            tool_error("%s (%s): %s", operand->role->name, file, error);
            return TOOL_FAILED;
        }
        int code = fit_type(operand, file);
        if (code) return code;
    }
    return TOOL_OK;
}

// ---- outputs ------------------------------------------------------------------------------------------------------

static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

static int failed(const eval_operand *operand, const char *what)
{
    tool_error("%s (%s): %s", operand->role->name, operand->file, what);
    return TOOL_FAILED;
}

static int write_temporary(eval_operand *operand, uint32_t index)
{
    char error[512];
    size_t capacity = strlen(operand->file) + 64;
    operand->temporary = malloc(capacity);
    if (!operand->temporary) return failed(operand, "out of memory");
    snprintf(operand->temporary, capacity, "%s.tmp-%ld-%" PRIu32, operand->file, (long)getpid(), index);
    if (npy_write(operand->temporary, &operand->array, error, sizeof error)) return TOOL_OK;
    free(operand->temporary);               // npy_write has removed it
    operand->temporary = NULL;
    return failed(operand, error);
}

// A device or a pipe (/dev/null, /dev/stdout) is written in place: renaming would replace it.
static int write_special(eval_operand *operand)
{
    FILE *file = fopen(operand->file, "wb");
    if (!file) return failed(operand, strerror(errno));
    bool done = npy_write_stream(file, &operand->array);
    if (fclose(file) != 0 || !done) return failed(operand, "cannot be written");
    return TOOL_OK;
}

// Whether two outputs, both written to temporary files, would end in one file: x.npy and ./x.npy.
static bool same_end(const eval_operand *a, const eval_operand *b)
{
    char *at = realpath(a->temporary, NULL), *bt = realpath(b->temporary, NULL);
    // names end in ".tmp-" and numbers, see write_temporary
    bool same = at && bt && strncmp(at, bt, (size_t)(strrchr(at, '.') - at) + 5) == 0;
    free(at);
    free(bt);
    return same;
}

static int refuse_same_ends(const eval_problem *problem)
{
    for (uint32_t i = 0; i < problem->operand_count; i++)
        for (uint32_t k = 0; k < i; k++) {
            const eval_operand *a = &problem->operands[k], *b = &problem->operands[i];
            if (!a->temporary || !b->temporary || !same_end(a, b)) continue;
            tool_error("%s and %s go to the same file %s", a->role->name, b->role->name, b->file);
            return TOOL_USAGE;
        }
    return TOOL_OK;
}

static int write_all(eval_problem *problem)
{
    int code = TOOL_OK;
    for (uint32_t i = 0; i < problem->operand_count && !code; i++) {
        eval_operand *operand = &problem->operands[i];
        if (operand->output && operand->file && !is_special(operand->file)) code = write_temporary(operand, i);
    }
    if (!code) code = refuse_same_ends(problem);
    for (uint32_t i = 0; i < problem->operand_count && !code; i++) {
        eval_operand *operand = &problem->operands[i];
        if (!operand->output || !operand->file) continue;
        if (!operand->temporary) {
            code = write_special(operand);
        } else if (rename(operand->temporary, operand->file) != 0) {
            code = failed(operand, strerror(errno));
        } else {
            free(operand->temporary);
            operand->temporary = NULL;
        }
    }
    return code;
}

int eval_write_outputs(eval_problem *problem)
{
    int code = write_all(problem);
    for (uint32_t i = 0; i < problem->operand_count; i++) {
        if (problem->operands[i].temporary) remove(problem->operands[i].temporary);
        free(problem->operands[i].temporary);
        problem->operands[i].temporary = NULL;
    }
    return code;
}

// ---- what is printed ----------------------------------------------------------------------------------------------

enum { MOST_PRINTED = 16 };                 // of the row losses, when there is no file for them

void eval_print_outputs(const eval_problem *problem)
{
    char text[64];
    for (uint32_t i = 0; i < problem->operand_count; i++) {
        const eval_operand *operand = &problem->operands[i];
        const tool_array *array = &operand->array;
        bool asked = operand->file || operand->role->role == WANE_ROLE_LOSS;
        if (!operand->output || !asked) continue;
        if (array->rank == 0) {
            printf("%s = %s\n", operand->role->name, tool_array_text(array, 0, text, sizeof text));
        } else if (!operand->file) {
            printf("%s = [", operand->role->name);
            for (int64_t j = 0; j < array->count && j < MOST_PRINTED; j++)
                printf("%s%s", j ? ", " : "", tool_array_text(array, j, text, sizeof text));
            if (array->count > MOST_PRINTED)
                printf(", ... %" PRId64 " in all; --out %s=FILE.npy has them", array->count, operand->role->name);
            printf("]\n");
        }
    }
}
