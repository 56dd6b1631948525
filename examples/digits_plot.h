// digits_plot.h - what the digits example shows: a progress line, the loss curves in the terminal and as SVG.
#ifndef WANE_EXAMPLES_DIGITS_PLOT_H
#define WANE_EXAMPLES_DIGITS_PLOT_H

#include <stdbool.h>

enum { PLOT_CURVES = 16 };                 // more devices than that are trained on, but not drawn

typedef struct plot {
    int points, curves;                    // every curve has one value an epoch
    const char *names[PLOT_CURVES];
    const float *values[PLOT_CURVES];
} plot;

double seconds_now(void);

// One line that is rewritten on a terminal; elsewhere a new line every tenth of the way.
void progress_show(int done, int all, float loss, double seconds);

void plot_print(const plot *p);
// False, with errno set, if the file cannot be written.
bool plot_write_svg(const plot *p, const char *path);

#endif
