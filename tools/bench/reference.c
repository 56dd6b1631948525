// reference.c - the kernels of kernels.c on all threads, run in the same rounds as the loss.
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { READ_AHEAD_BYTES = 2048 };

const bench_reference_info bench_references[BENCH_REFERENCES] = {
    [BENCH_READ] = {"read", "of_read", BENCH_BYTES},           [BENCH_COPY] = {"copy", "of_copy", BENCH_BYTES},
    [BENCH_NT_COPY] = {"nt copy", "of_nt_copy", BENCH_BYTES},  [BENCH_FMA] = {"fma", "of_fma", BENCH_FLOPS},
    [BENCH_DOT] = {"bf16 dot", "of_dot", BENCH_FLOPS},         [BENCH_EXP] = {"exp", "of_exp", BENCH_EXP_UNIT},
    [BENCH_LINK] = {"link", "of_link", BENCH_LINKS},           [BENCH_PRODUCT] = {"product", "of_product", BENCH_FLOPS},
    [BENCH_PRODUCTS] = {"products", "of_products", BENCH_FLOPS}};

struct bench_team {
    uint32_t threads, started;
    pthread_t *handles;
    pthread_barrier_t begin, end;
    bool stop;
    bench_reference reference;
    const unsigned char *from;
    unsigned char *to;
    size_t bytes, ahead_bytes;
    uint64_t sink;                          // so that nothing read is thrown away
    struct bench_member { bench_team *team; uint32_t index; } *members;
};

static void sink_float(bench_team *team, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    __atomic_fetch_xor(&team->sink, bits, __ATOMIC_RELAXED);
}

static void do_part(bench_team *team, uint32_t index)
{
    size_t lines = team->bytes / 64;
    size_t first = lines * index / team->threads * 64, last = lines * (index + 1) / team->threads * 64;
    if (index + 1 == team->threads) last = team->bytes;
    size_t bytes = last - first;
    static const float none[BENCH_EXPS];    // e^0, as good as any
    switch (team->reference) {
    case BENCH_READ:
        __atomic_fetch_xor(&team->sink, bench_read(team->from + first, bytes, team->ahead_bytes), __ATOMIC_RELAXED);
        break;
    case BENCH_COPY: memmove(team->to + first, team->from + first, bytes); break;
    case BENCH_NT_COPY: bench_copy_past_cache(team->to + first, team->from + first, bytes); break;
    case BENCH_FMA: sink_float(team, bench_multiply(BENCH_FMA_COUNT)); break;
    case BENCH_DOT: sink_float(team, bench_dot(BENCH_FMA_COUNT)); break;
    case BENCH_EXP: sink_float(team, bench_exp(none, BENCH_EXP_COUNT)); break;
    case BENCH_LINK: sink_float(team, bench_link(none, BENCH_EXP_COUNT)); break;
    default: break;
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

static double run_team(bench_team *team)
{
    double start = bench_now();
    pthread_barrier_wait(&team->begin);
    do_part(team, 0);
    pthread_barrier_wait(&team->end);
    return bench_now() - start;
}

double bench_refer(bench_team *team, bench_reference reference, const void *from, void *to, size_t bytes)
{
    team->reference = reference;
    team->from = from;
    team->to = to;
    team->bytes = bytes;
    team->ahead_bytes = 0;
    double seconds = run_team(team);
    if (reference != BENCH_READ) return seconds;
    // the better of plain and prefetching reads
    team->ahead_bytes = READ_AHEAD_BYTES;
    double ahead = run_team(team);
    return ahead < seconds ? ahead : seconds;
}

size_t bench_cache_bytes(void)
{
    long last = 0;
#ifdef _SC_LEVEL3_CACHE_SIZE
    last = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (last <= 0) last = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return last > 0 ? (size_t)last : (size_t)32 << 20;
}
