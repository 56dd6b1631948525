#include "oracle_test.h"
const struct CMUnitTest scale_tests[] = {{0}};
const size_t scale_test_count = 0;
