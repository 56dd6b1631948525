// wane_conform.h - the conformance test as a library, for apps that have no command line.
#ifndef WANE_CONFORM_H
#define WANE_CONFORM_H

#ifdef __cplusplus
extern "C" {
#endif

// The program wane-conform: runs every case of the registry's losses on a device and judges it by the oracle. Arguments
// are those of the command line, see --help. Returns 0 all passed, 1 failures, 2 wrong usage, 3 no such device,
// 77 nothing ran.
int wane_conform_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
