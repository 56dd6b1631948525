// digits_plot.c - progress, and loss curves on a logarithmic scale.
#define _POSIX_C_SOURCE 200809L

#include "digits_plot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_show(int done, int all, float loss, double seconds)
{
    enum { WIDTH = 30 };
    bool terminal = isatty(STDOUT_FILENO) != 0;
    int tenth = all < 10 ? 1 : all / 10;
    if (!terminal && done % tenth != 0 && done != all) return;
    char bar[WIDTH + 1];
    for (int i = 0; i < WIDTH; i++) bar[i] = i * all < done * WIDTH ? '#' : '.';
    bar[WIDTH] = 0;
    printf("%s  epoch %3d of %d  %s  loss %.4f  %.1f s", terminal ? "\r" : "", done, all, bar, (double)loss, seconds);
    if (!terminal || done == all) printf("\n");
    fflush(stdout);
}

// Lowest and highest decimal logarithm of all curves. Losses of 0, infinity and NaN have none.
static bool plot_range(const plot *p, double *low, double *high)
{
    *low = 1e30;
    *high = -1e30;
    for (int c = 0; c < p->curves; c++)
        for (int i = 0; i < p->points; i++) {
            double v = (double)p->values[c][i];
            if (!(v > 0.0) || isinf(v)) continue;
            *low = fmin(*low, log10(v));
            *high = fmax(*high, log10(v));
        }
    if (*low > *high) return false;
    if (*high - *low < 1e-3) *high = *low + 1e-3;
    return true;
}

// 0 at the lowest value, 1 at the highest; negative for a value that has no logarithm.
static double plot_height(float value, double low, double high)
{
    if (!(value > 0.0f) || isinf(value)) return -1.0;
    return (log10((double)value) - low) / (high - low);
}

void plot_print(const plot *p)
{
    enum { ROWS = 12, MOST_COLUMNS = 60 };
    char canvas[ROWS][MOST_COLUMNS + 1];
    double low, high;
    if (!plot_range(p, &low, &high)) return;
    int columns = p->points < MOST_COLUMNS ? p->points : MOST_COLUMNS;
    memset(canvas, ' ', sizeof canvas);
    for (int c = 0; c < p->curves; c++)
        for (int x = 0; x < columns; x++) {
            double h = plot_height(p->values[c][x * p->points / columns], low, high);
            if (h >= 0.0) canvas[ROWS - 1 - (int)(h * (ROWS - 1) + 0.5)][x] = '*';
        }
    printf("training loss, logarithmic, %d curve%s\n", p->curves, p->curves == 1 ? "" : "s, one a device");
    for (int y = 0; y < ROWS; y++) {
        canvas[y][columns] = 0;
        double value = pow(10.0, high - (high - low) * y / (ROWS - 1));
        printf("  %7.4f |%s\n", value, canvas[y]);
    }
    printf("          +");
    for (int x = 0; x < columns; x++) printf("-");
    printf("\n           epoch 1%*s%d\n\n", columns > 9 ? columns - 9 : 1, "", p->points);
}

static void svg_text(FILE *file, double x, double y, const char *anchor, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (; *text; text++) {
        if (*text == '<') fprintf(file, "&lt;");
        else if (*text == '&') fprintf(file, "&amp;");
        else fputc(*text, file);
    }
    fprintf(file, "</text>\n");
}

bool plot_write_svg(const plot *p, const char *path)
{
    enum { WIDTH = 720, HEIGHT = 400, LEFT = 70, RIGHT = 20, TOP = 40, BOTTOM = 40 };
    static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};
    const int colour_count = (int)(sizeof colours / sizeof *colours);
    double low, high;
    if (!plot_range(p, &low, &high)) low = 0.0, high = 1.0;
    FILE *file = fopen(path, "w");
    if (!file) return false;
    fprintf(file, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
                  "font-size=\"13\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", WIDTH, HEIGHT);
    svg_text(file, LEFT, 24, "start", "Training loss on handwritten digits, logarithmic, by epoch");
    for (int i = 0; i <= 4; i++) {
        char label[32];
        double y = TOP + (HEIGHT - TOP - BOTTOM) * i / 4.0;
        snprintf(label, sizeof label, "%.3g", pow(10.0, high - (high - low) * i / 4.0));
        fprintf(file, "<path d=\"M%d %.1fH%d\" stroke=\"#ccc\"/>\n", LEFT, y, WIDTH - RIGHT);
        svg_text(file, LEFT - 8, y + 4, "end", label);
    }
    for (int c = 0; c < p->curves; c++) {
        const char *colour = colours[c % colour_count];
        // equal curves lie on each other: the first is the widest
        fprintf(file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" points=\"", colour,
                1.5 + 4.0 * (p->curves - 1 - c));
        for (int i = 0; i < p->points; i++) {
            double h = plot_height(p->values[c][i], low, high);
            double x = LEFT + (double)(WIDTH - LEFT - RIGHT) * i / (p->points > 1 ? p->points - 1 : 1);
            if (h >= 0.0) fprintf(file, "%.1f,%.1f ", x, HEIGHT - BOTTOM - h * (HEIGHT - TOP - BOTTOM));
        }
        fprintf(file, "\"/>\n<g fill=\"%s\">", colour);
        svg_text(file, WIDTH - RIGHT - 8, TOP + 20 + 18 * c, "end", p->names[c]);
        fprintf(file, "</g>\n");
    }
    char last[32];
    snprintf(last, sizeof last, "%d", p->points);
    svg_text(file, LEFT, HEIGHT - 16, "middle", "1");
    svg_text(file, WIDTH - RIGHT, HEIGHT - 16, "end", last);
    fprintf(file, "</svg>\n");
    bool written = !ferror(file);
    return fclose(file) == 0 && written;
}
