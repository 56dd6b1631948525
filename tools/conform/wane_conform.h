// wane_conform.h - the conformance test as a library, for apps that have no command line.
#ifndef WANE_CONFORM_H
#define WANE_CONFORM_H

#include <wane/wane.h>

#ifdef __cplusplus
extern "C" {
#endif

// The program wane-conform: runs every case of the registry's losses on a device and judges it by the oracle. Arguments
// are those of the command line, see --help. Returns 0 all passed, 1 failures, 2 wrong usage, 3 no such device
// or none any more, 77 nothing ran.
int wane_conform_main(int argc, char **argv);

// The same with the app's own context description: its resolvers, allocator, threads. Log and cache are replaced.
int wane_conform_main_with(int argc, char **argv, const wane_context_desc *context);

#ifdef __cplusplus
}
#endif
#endif
