// fault.h - a scenario is a sequence of library calls, run again and again while another allocation fails each time.
#ifndef WANE_TESTS_FAULT_FAULT_H
#define WANE_TESTS_FAULT_FAULT_H

#include "support.h"

// What a scenario works with. `prepared` things are made before the first failure.
typedef struct fault_run {
    test_log log;
    test_memory memory;
    const char *device_name;
    wane_context *context;
    wane_device *device;
    test_problem p;                         // the good problem, with memory
    wane_plan *plan;
    wane_executable *executable;
    wane_recorder *recorder;
} fault_run;

typedef struct fault_scenario {
    const char *name;
    // What is made before: 0 nothing, 1 context and device, 2 also plan, 3 also executable, 4 also recorder.
    int prepared;
    // Makes the calls, checks what each one leaves behind when it fails, and destroys what it made. Returns the first
    // error, or WANE_OK.
    wane_status (*run)(fault_run *f);
    bool keeps;                             // what was prepared may serve for many tries
    bool is_long;
} fault_scenario;

extern const fault_scenario fault_scenarios[];  // name NULL at the end

#endif
