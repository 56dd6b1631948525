// random.c - numbers by seed, the same on every machine, and hashes.
#include "conform.h"

// FNV-1a over bytes.
uint64_t conform_hash(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

// splitmix64 (Steele, Lea, Flood, Fast splittable pseudorandom number generators, 2014).
uint64_t conform_next(conform_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

double conform_uniform(conform_random *random) { return (double)(conform_next(random) >> 11) * 0x1p-53; }

// Twelve 16-bit uniforms: deviation 1, tails to 6. A logarithm would differ from one C library to the next.
double conform_normal(conform_random *random)
{
    uint64_t sum = 0;
    for (int i = 0; i < 3; i++)
        for (uint64_t word = conform_next(random), k = 0; k < 4; k++) sum += word >> 16 * k & 0xffff;
    return (double)sum / 65535.0 - 6;
}

uint64_t conform_below(conform_random *random, uint64_t bound) { return bound ? conform_next(random) % bound : 0; }
