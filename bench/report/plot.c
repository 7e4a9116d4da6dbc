/* plot.c: see plot.h.
 *
 * Called by page.c. Owns nothing. */
#include "report/plot.h"

#include <math.h>
#include <string.h>

#define WIDTH 880.0
#define LEFT 64.0 /* of lines: room for the scale */
#define RIGHT 16.0

void plot_text(FILE *page, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<': fputs("&lt;", page); break;
        case '>': fputs("&gt;", page); break;
        case '&': fputs("&amp;", page); break;
        case '"': fputs("&quot;", page); break;
        default: fputc(*text, page); break;
        }
    }
}

char *plot_number(char *text, double value, const char *unit)
{
    static const char *const prefixes[] = {"", " k", " M", " G", " T"};
    size_t power = 0;

    if (strcmp(unit, "ns") == 0) {
        static const char *const times[] = {" ns", " µs", " ms", " s"};
        for (; value >= 1000 && power < 3; power++)
            value /= 1000;
        snprintf(text, 32, "%.*f%s", value < 10 && power ? 1 : 0, value, times[power]);
        return text;
    }
    for (; value >= 1000 && power < 4; power++)
        value /= 1000;
    snprintf(text, 32, "%.*f%s", value >= 100 ? 0 : value >= 10 ? 1 : value >= 0.1 || value <= 0 ? 2 : 4, value, prefixes[power]);
    return text;
}

static void write_label(FILE *page, double x, double y, const char *class, const char *text)
{
    fprintf(page, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
    plot_text(page, text);
    fputs("</text>", page);
}

static void begin(FILE *page, double height)
{
    fprintf(page, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">", WIDTH, height);
}

/* --------------------------------------------------------------------------------------------------------------- lines */

struct scale {
    double low, high, top, bottom;
};

static double y_of(const struct scale *scale, double value)
{
    return scale->bottom - (log10(value) - scale->low) / (scale->high - scale->low) * (scale->bottom - scale->top);
}

/* Whole powers of ten around all values. Returns false when there are none. */
static bool find_range(const struct plot_series *series, size_t count, size_t steps, struct scale *ret)
{
    double low = INFINITY, high = -INFINITY;

    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < steps; j++) {
            const double value = series[i].values[j];
            if (value > 0) {
                low = fmin(low, log10(value));
                high = fmax(high, log10(value));
            }
        }
    }
    if (low > high)
        return false;
    ret->low = floor(low);
    ret->high = fmax(ceil(high), ret->low + 1);
    return true;
}

static void write_series(FILE *page, const char *unit, const char *const *steps, size_t count, const struct plot_series *series,
                         const struct scale *scale, size_t color)
{
    const double step = (WIDTH - LEFT - RIGHT) / (double)count;
    bool is_first = true;
    char number[32];

    fprintf(page, "<polyline class=\"line c%zu\" points=\"", color);
    for (size_t i = 0; i < count; i++)
        if (series->values[i] > 0)
            fprintf(page, "%s%.1f,%.1f", is_first ? "" : " ", LEFT + ((double)i + 0.5) * step, y_of(scale, series->values[i])),
                is_first = false;
    fputs("\"/>", page);
    for (size_t i = 0; i < count; i++) {
        if (series->values[i] <= 0)
            continue;
        fprintf(page, "<circle class=\"dot c%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>", color, LEFT + ((double)i + 0.5) * step,
                y_of(scale, series->values[i]));
        plot_text(page, series->name);
        fputs(", ", page);
        plot_text(page, steps[i]);
        fprintf(page, ": %s", plot_number(number, series->values[i], unit));
        if (strcmp(unit, "ns") != 0)
            fprintf(page, " %s", unit);
        fputs("</title></circle>", page);
    }
}

static void write_grid(FILE *page, const char *unit, const char *const *steps, size_t count, const struct scale *scale)
{
    const double step = (WIDTH - LEFT - RIGHT) / (double)count;
    char number[32];

    for (double power = scale->low; power <= scale->high + 0.01; power++) {
        const double y = y_of(scale, pow(10, power));
        fprintf(page, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT, y, y);
        write_label(page, LEFT - 8, y + 4, "scale end", plot_number(number, pow(10, power), unit));
    }
    for (size_t i = 0; i < count; i++)
        write_label(page, LEFT + ((double)i + 0.5) * step, scale->bottom + 20, "scale middle", steps[i]);
}

void plot_lines(FILE *page, const char *unit, const char *const *steps, size_t steps_count, const struct plot_series *series,
                size_t series_count)
{
    struct scale scale = {.top = 16, .bottom = 320};

    if (!find_range(series, series_count, steps_count, &scale))
        return;
    begin(page, scale.bottom + 32);
    write_grid(page, unit, steps, steps_count, &scale);
    for (size_t i = 0; i < series_count; i++)
        write_series(page, unit, steps, steps_count, &series[i], &scale, i);
    fputs("</svg><p class=\"legend\">", page);
    for (size_t i = 0; i < series_count; i++) {
        fprintf(page, "<span><i class=\"c%zu\"></i>", i);
        plot_text(page, series[i].name);
        fputs("</span> ", page);
    }
    fputs("</p>\n", page);
}

/* ---------------------------------------------------------------------------------------------------------------- bars */

#define BAR 22.0
#define BAR_LEFT 300.0
#define BAR_RIGHT 90.0
#define VALUE_WIDTH 44.0

struct bar_scale {
    double low, high;
    bool logarithmic;
};

static double x_of(const struct bar_scale *scale, double value)
{
    const double width = WIDTH - BAR_LEFT - BAR_RIGHT;

    if (value <= 0)
        return BAR_LEFT;
    const double part = scale->logarithmic ? (log10(value) - scale->low) / (scale->high - scale->low) : value / scale->high;
    return BAR_LEFT + width * fmin(fmax(part, 0), 1);
}

static void write_bar(FILE *page, const char *unit, const struct plot_bar *bar, const struct bar_scale *scale, double y)
{
    static const char *const kinds[] = {"plain", "ours", "good", "bad"};
    const double x = x_of(scale, bar->value), middle = y + BAR / 2;
    char number[32];

    fputs("<g><title>", page);
    plot_text(page, bar->name);
    fprintf(page, ": %s %s", plot_number(number, bar->value, unit), strcmp(unit, "ns") == 0 ? "" : unit);
    fprintf(page, " (%s to ", plot_number(number, bar->low, unit));
    fprintf(page, "%s)", plot_number(number, bar->high, unit));
    if (bar->more) {
        fputs("; ", page);
        plot_text(page, bar->more);
    }
    fputs("</title>", page);
    write_label(page, BAR_LEFT - 10, middle + 4, "name end", bar->name);
    fprintf(page, "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\"/>", kinds[bar->kind],
            BAR_LEFT, y + 3, fmax(x - BAR_LEFT, 1), BAR - 6);
    if (bar->high > bar->low)
        fprintf(page, "<line class=\"spread\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x_of(scale, bar->low),
                x_of(scale, bar->high), middle, middle);
    if (bar->mark > 0)
        fprintf(page, "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x_of(scale, bar->mark),
                x_of(scale, bar->mark), y, y + BAR);
    double end = fmax(x, x_of(scale, bar->high));
    const double mark = x_of(scale, bar->mark);
    if (bar->mark > 0 && mark > end - 4 && mark < end + VALUE_WIDTH) /* it would go through the number */
        end = mark;
    write_label(page, end + 8, middle + 4, "value", plot_number(number, bar->value, unit));
    fputs("</g>", page);
}

void plot_bars(FILE *page, const char *unit, const struct plot_bar *bars, size_t count, bool logarithmic)
{
    struct bar_scale scale = {.low = INFINITY, .high = 0, .logarithmic = logarithmic};

    for (size_t i = 0; i < count; i++) {
        const double high = fmax(fmax(bars[i].value, bars[i].high), bars[i].mark);
        const double low = bars[i].low > 0 ? fmin(bars[i].low, bars[i].value) : bars[i].value;
        scale.high = fmax(scale.high, logarithmic ? log10(high) : high);
        if (low > 0)
            scale.low = fmin(scale.low, log10(low));
    }
    if (count == 0 || isinf(scale.low))
        return;
    if (logarithmic) { /* a little room, so that the smallest is a bar too */
        scale.low = floor(scale.low * 2) / 2 - 0.5;
        scale.high = fmax(scale.high, scale.low + 1);
    }
    begin(page, BAR * (double)count + 4);
    fprintf(page, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%.1f\"/>", BAR_LEFT, BAR_LEFT, BAR * (double)count);
    for (size_t i = 0; i < count; i++)
        write_bar(page, unit, &bars[i], &scale, BAR * (double)i);
    fputs("</svg>\n", page);
}

/* -------------------------------------------------------------------------------------------------------------- matrix */

void plot_matrix(FILE *page, const char *unit, const char *const *names, const double *values, size_t n)
{
    const double margin = 48, cell = fmin((WIDTH - margin) / (double)n, 56);
    double low = INFINITY, high = 0;
    char number[32];

    for (size_t i = 0; i < n * n; i++) {
        if (values[i] > 0) {
            low = fmin(low, values[i]);
            high = fmax(high, values[i]);
        }
    }
    if (isinf(low))
        return;
    begin(page, margin + cell * (double)n);
    for (size_t i = 0; i < n; i++) {
        write_label(page, margin + ((double)i + 0.5) * cell, margin - 10, "scale middle", names[i]);
        write_label(page, margin - 10, margin + ((double)i + 0.5) * cell + 4, "scale end", names[i]);
        for (size_t j = 0; j < n; j++) {
            const double value = values[i * n + j];
            if (value <= 0)
                continue;
            const double part = high > low ? log(value / low) / log(high / low) : 0.5;
            fprintf(page, "<g><title>%s and %s: %s</title>", names[i], names[j], plot_number(number, value, unit));
            fprintf(page, "<rect class=\"cell\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" style=\"fill-opacity:%.2f\"/>",
                    margin + (double)j * cell, margin + (double)i * cell, cell - 1, cell - 1, 0.15 + 0.75 * part);
            if (cell >= 36) {
                snprintf(number, sizeof number, "%.0f", value);
                write_label(page, margin + ((double)j + 0.5) * cell, margin + ((double)i + 0.5) * cell + 4, "cellvalue middle",
                            number);
            }
            fputs("</g>", page);
        }
    }
    fputs("</svg>\n", page);
}
