// main.c - runs a body on random bytes: fuzz_x ROUNDS SEED, or fuzz_x FIRST-LAST SEED to repeat some rounds of it.
#include "fuzz.h"

long fuzz_round;

static uint64_t state;

static uint64_t next_random(void)
{
    // splitmix64, https://prng.di.unimi.it/splitmix64.c
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s ROUNDS SEED, or %s FIRST-LAST SEED\n", argv[0], argv[0]);
        return 2;
    }
    char *end;
    long first = 0, last = strtol(argv[1], &end, 10);
    if (*end == '-') {
        first = last;
        last = strtol(end + 1, NULL, 10) + 1;
    }
    uint64_t seed = strtoull(argv[2], NULL, 10);
    for (fuzz_round = first; fuzz_round < last; fuzz_round++) {
        // each round begins anew, so that one can be repeated alone
        state = seed * 0x100000001b3u + (uint64_t)fuzz_round;
        uint8_t data[2048];
        size_t size = 16 + next_random() % (sizeof data - 16);
        for (size_t i = 0; i < size; i++) data[i] = (uint8_t)(next_random() >> 32);
        fuzz_body(data, size);
    }
    printf("%ld rounds\n", last - first);
    return 0;
}
