// wane-conform.c - the program: see main.c.
#include "wane_conform.h"

int main(int argc, char **argv) { return wane_conform_main(argc, argv); }
