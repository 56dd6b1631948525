// libfuzzer.c - the entry that libFuzzer calls.
#include "fuzz.h"

long fuzz_round;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_round++;
    fuzz_body(data, size);
    return 0;
}
