// fuzz.h - a body turns a string of bytes into calls and checks what must hold whatever the bytes are.
#ifndef WANE_TESTS_FUZZ_FUZZ_H
#define WANE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// api.c, npy.c, tuning.c
void fuzz_body(const uint8_t *data, size_t size);
// Where a failure can be named: main.c prints the round; libFuzzer keeps the bytes.
extern long fuzz_round;

#define FUZZ_CHECK(condition, ...)                                                      \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "round %ld: %s: ", fuzz_round, #condition);                 \
            fprintf(stderr, __VA_ARGS__);                                               \
            fputc('\n', stderr);                                                        \
            abort();                                                                    \
        }                                                                               \
    } while (0)

// The bytes, taken one after the other; zeros when they are used up.
typedef struct fuzz_input {
    const uint8_t *data;
    size_t size, at;
} fuzz_input;

static inline uint64_t fuzz_bytes(fuzz_input *in, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | (in->at < in->size ? in->data[in->at++] : 0);
    return value;
}

// 0 .. below - 1
static inline uint32_t fuzz_below(fuzz_input *in, uint32_t below)
{
    return below < 2 ? 0 : (uint32_t)(fuzz_bytes(in, below > 256 ? 4 : 1) % below);
}

// True once in n on average, never for bytes of 0: what the bytes leave out stays plain.
static inline int fuzz_rarely(fuzz_input *in, uint32_t n) { return fuzz_below(in, n) == n - 1; }

#endif
