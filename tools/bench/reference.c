// reference.c - what memory can do here: reading and copying on all threads, measured in the same rounds as the loss.
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define BENCH_X86
#include <immintrin.h>
#endif

// ---- the kernels ----

static uint64_t read_plain(const unsigned char *from, size_t bytes)
{
    uint64_t sum[8] = {0}, word[8];
    for (size_t i = 0; i + 64 <= bytes; i += 64) {
        memcpy(word, from + i, 64);
        for (int k = 0; k < 8; k++) sum[k] ^= word[k];
    }
    return sum[0] ^ sum[1] ^ sum[2] ^ sum[3] ^ sum[4] ^ sum[5] ^ sum[6] ^ sum[7];
}

#ifdef BENCH_X86
// Prefetching ahead is what the best plain loop of this kind needs: without it one core reads a tenth less.
__attribute__((target("avx2"))) static uint64_t read_avx2(const unsigned char *from, size_t bytes)
{
    __m256i a = _mm256_setzero_si256(), b = a;
    for (size_t i = 0; i + 64 <= bytes; i += 64) {
        _mm_prefetch((const char *)from + i + 2048, _MM_HINT_T0);
        a = _mm256_xor_si256(a, _mm256_loadu_si256((const __m256i *)(const void *)(from + i)));
        b = _mm256_xor_si256(b, _mm256_loadu_si256((const __m256i *)(const void *)(from + i + 32)));
    }
    uint64_t words[4];
    _mm256_storeu_si256((__m256i *)(void *)words, _mm256_xor_si256(a, b));
    return words[0] ^ words[1] ^ words[2] ^ words[3];
}

static void copy_past_cache(unsigned char *to, const unsigned char *from, size_t bytes)
{
    size_t head = (64 - ((uintptr_t)to & 63)) & 63, i = head < bytes ? head : bytes;
    memcpy(to, from, i);
    for (; i + 64 <= bytes; i += 64)
        for (size_t k = 0; k < 64; k += 16)
            _mm_stream_si128((__m128i *)(void *)(to + i + k),
                             _mm_loadu_si128((const __m128i *)(const void *)(from + i + k)));
    memcpy(to + i, from + i, bytes - i);
    _mm_sfence();
}
#endif

static uint64_t read_bytes(const unsigned char *from, size_t bytes)
{
#ifdef BENCH_X86
    if (__builtin_cpu_supports("avx2")) return read_avx2(from, bytes);
#endif
    return read_plain(from, bytes);
}

bool bench_reference_exists(bench_reference reference)
{
#ifdef BENCH_X86
    (void)reference;
    return true;
#else
    return reference != BENCH_NT_COPY;
#endif
}

// ---- the team ----

struct bench_team {
    uint32_t threads, started;
    pthread_t *handles;
    pthread_barrier_t begin, end;
    bool stop;
    bench_reference reference;
    const unsigned char *from;
    unsigned char *to;
    size_t bytes;
    uint64_t sink;                          // so that nothing read is thrown away
    struct bench_member { bench_team *team; uint32_t index; } *members;
};

static void do_part(bench_team *team, uint32_t index)
{
    size_t lines = team->bytes / 64;
    size_t first = lines * index / team->threads * 64, last = lines * (index + 1) / team->threads * 64;
    if (index + 1 == team->threads) last = team->bytes;
    size_t bytes = last - first;
    switch (team->reference) {
    case BENCH_READ: __atomic_fetch_xor(&team->sink, read_bytes(team->from + first, bytes), __ATOMIC_RELAXED); break;
    case BENCH_COPY: memmove(team->to + first, team->from + first, bytes); break;
    case BENCH_NT_COPY:
#ifdef BENCH_X86
        copy_past_cache(team->to + first, team->from + first, bytes);
#endif
        break;
    }
}

static void *member_body(void *argument)
{
    struct bench_member *member = argument;
    bench_team *team = member->team;
    for (;;) {
        pthread_barrier_wait(&team->begin);
        if (team->stop) return NULL;
        do_part(team, member->index);
        pthread_barrier_wait(&team->end);
    }
}

bench_team *bench_team_make(uint32_t threads)
{
    bench_team *team = calloc(1, sizeof *team);
    if (!team) return NULL;
    team->threads = threads;
    team->handles = calloc(threads, sizeof *team->handles);
    team->members = calloc(threads, sizeof *team->members);
    bool good = team->handles && team->members && pthread_barrier_init(&team->begin, NULL, threads) == 0
             && pthread_barrier_init(&team->end, NULL, threads) == 0;
    for (uint32_t i = 1; good && i < threads; i++) {
        team->members[i].team = team;
        team->members[i].index = i;
        good = pthread_create(&team->handles[i], NULL, member_body, &team->members[i]) == 0;
        team->started += good;
    }
    // a team that is not whole would wait for ever at its barriers: what started is left to the end of the process
    if (good) return team;
    tool_error("%u threads cannot be started: use --threads", threads);
    return NULL;
}

void bench_team_free(bench_team *team)
{
    if (!team) return;
    team->stop = true;
    pthread_barrier_wait(&team->begin);
    for (uint32_t i = 1; i < team->threads; i++) pthread_join(team->handles[i], NULL);
    pthread_barrier_destroy(&team->begin);
    pthread_barrier_destroy(&team->end);
    free(team->handles);
    free(team->members);
    free(team);
}

void bench_refer(bench_team *team, bench_reference reference, const void *from, void *to, size_t bytes)
{
    team->reference = reference;
    team->from = from;
    team->to = to;
    team->bytes = bytes;
    pthread_barrier_wait(&team->begin);
    do_part(team, 0);
    pthread_barrier_wait(&team->end);
}
