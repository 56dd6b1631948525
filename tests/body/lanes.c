// lanes.c - coroutines by ucontext. A lane's context is made once and serves group after group.
#define _GNU_SOURCE
#include "lanes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LANES_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define LANES_ASAN 1
#endif
#ifdef LANES_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { STACK_BYTES = 256 * 1024, GUARD_WORDS = 16 };
static const uint64_t guard_word = 0x6c616e6573746163u;

// One side of a switch: a lane, or the thread that runs the group.
typedef struct side {
    ucontext_t context;
    const void *stack;
    size_t stack_bytes;
    void *fake_stack;                       // AddressSanitizer's
    bool ready;                             // its context waits for the next group
    uint32_t place;
} side;

static side lanes[LANES_MAX];
static side thread;
static const lanes_group *running;
static uint32_t current;

static void switch_sides(side *from, side *to)
{
#ifdef LANES_ASAN
    __sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->stack_bytes);
#endif
    if (swapcontext(&from->context, &to->context) != 0) abort();
#ifdef LANES_ASAN
    // what we came from tells the thread's own stack, which is not known otherwise
    const void *stack;
    size_t bytes;
    __sanitizer_finish_switch_fiber(from->fake_stack, &stack, &bytes);
    if (from != &thread) {
        thread.stack = stack;
        thread.stack_bytes = bytes;
    }
#endif
}

static void lane_main(void)
{
    uint32_t lane = current;
#ifdef LANES_ASAN
    __sanitizer_finish_switch_fiber(NULL, &thread.stack, &thread.stack_bytes);
#endif
    for (;;) {
        running->body(running->user, lane);
        lanes[lane].place = 0;
        lanes[lane].ready = true;
        switch_sides(&lanes[lane], &thread);
    }
}

static void lane_make(side *lane)
{
    if (!lane->stack) {
        lane->stack = malloc(STACK_BYTES);
        lane->stack_bytes = STACK_BYTES;
        if (!lane->stack) {
            fprintf(stderr, "lanes: no memory for a stack\n");
            abort();
        }
    }
#ifdef LANES_ASAN
    ASAN_UNPOISON_MEMORY_REGION(lane->stack, STACK_BYTES);
#endif
    for (int i = 0; i < GUARD_WORDS; i++) ((uint64_t *)lane->stack)[i] = guard_word;
    if (getcontext(&lane->context) != 0) abort();
    lane->context.uc_stack.ss_sp = (void *)lane->stack;
    lane->context.uc_stack.ss_size = STACK_BYTES;
    lane->context.uc_link = NULL;
    lane->fake_stack = NULL;
    makecontext(&lane->context, lane_main, 0);
}

static bool stacks_whole(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (int k = 0; k < GUARD_WORDS; k++)
            if (((const uint64_t *)lanes[i].stack)[k] != guard_word) return false;
    return true;
}

static void run_round(uint32_t count, uint32_t round)
{
    for (uint32_t i = 0; i < count; i++) {
        current = round % 2 ? count - 1 - i : i;
        switch_sides(&thread, &lanes[current]);
    }
}

lanes_end lanes_run(const lanes_group *group)
{
    lanes_end end = { .together = true };
    running = group;
    for (uint32_t i = 0; i < group->count; i++) {
        if (!lanes[i].ready) lane_make(&lanes[i]);
        lanes[i].ready = false;
    }
    for (uint32_t round = 0;; round++) {
        run_round(group->count, round);
        end.place_of_first = lanes[0].place;
        for (uint32_t i = 1; i < group->count; i++)
            if (lanes[i].place != lanes[0].place) {
                end.together = false;
                end.lane = i;
                end.place = lanes[i].place;
                return end;                 // those that wait are not ready: their contexts are made anew
            }
        if (!lanes[0].place) break;
        group->next_round(group->user);
    }
    end.stack_overrun = !stacks_whole(group->count);
    return end;
}

void lanes_wait(uint32_t place)
{
    side *lane = &lanes[current];
    lane->place = place;
    switch_sides(lane, &thread);
}

void lanes_close(void)
{
    for (uint32_t i = 0; i < LANES_MAX; i++) free((void *)lanes[i].stack);
    memset(lanes, 0, sizeof lanes);
}
