// lanes.h - the lanes of a group as coroutines on one thread: each runs until it waits, then the next one does.
#ifndef WANE_TESTS_BODY_LANES_H
#define WANE_TESTS_BODY_LANES_H

#include <stdbool.h>
#include <stdint.h>

enum { LANES_MAX = 128 };

typedef struct lanes_group {
    uint32_t count;                         // 1..LANES_MAX
    void (*body)(void *user, uint32_t lane);
    void (*next_round)(void *user);         // all lanes have met at a place and will go on
    void *user;
} lanes_group;

// How a group ended. place is what the lane gave to lanes_wait, 0 for a lane that has returned.
typedef struct lanes_end {
    bool together;                          // every lane met every other at each wait
    bool stack_overrun;
    uint32_t lane;                          // one that stood elsewhere than lane 0
    uint32_t place, place_of_first;
} lanes_end;

// Runs a group to its end, or until two lanes stand at different places; those lanes are given up. Every second round
// goes through the lanes backwards, so that no order among them can be relied on.
lanes_end lanes_run(const lanes_group *group);

// From a lane: stands at `place`, which is not 0, until all other lanes stand somewhere too.
void lanes_wait(uint32_t place);

// Gives the stacks back.
void lanes_close(void);

#endif
