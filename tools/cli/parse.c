/* parse.c: numbers, durations, times, escapes and names on the command line.
 *
 * Owns nothing; bytes with escapes are decoded in place. Called by options_parse and format.c. */
#include "cli/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/tool.h"

bool parse_integer(const char *text, int64_t minimum, int64_t maximum, int64_t *ret_value)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    if (!isdigit((unsigned char)digits[0])) /* strtoll would also take blanks and a plus sign */
        return false;
    char *end;
    errno = 0;
    int64_t value = strtoll(text, &end, 10);
    if (*end != '\0' || errno != 0 || value < minimum || value > maximum)
        return false;
    *ret_value = value;
    return true;
}

const char *set_switch(void *target, char *text)
{
    (void)text;
    *(bool *)target = true;
    return NULL;
}

const char *set_text(void *target, char *text)
{
    *(const char **)target = text;
    return text[0] != '\0' ? NULL : "it must not be empty";
}

const char *set_partition(void *target, char *text)
{
    int64_t value;
    if (!parse_integer(text, 0, SPATE_PARTITIONS_MAX - 1, &value))
        return "a partition is a whole number from 0 to 1023";
    *(int32_t *)target = (int32_t)value;
    return NULL;
}

const char *set_count(void *target, char *text)
{
    int64_t value;
    if (!parse_integer(text, 1, INT64_MAX, &value))
        return "a whole number is expected, 1 to 9223372036854775807";
    *(uint64_t *)target = (uint64_t)value;
    return NULL;
}

const char *set_bytes(void *target, char *text)
{
    *(struct bytes *)target = (struct bytes){text, strlen(text)};
    return NULL;
}

/* ------------------------------------------------------------------------------------------------------------- escapes */

static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit = (char)tolower((unsigned char)digit);
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

int parse_escape(const char **text)
{
    static const char letters[] = "nrt0\\", values[] = "\n\r\t\0\\";
    char letter = **text;
    const char *found = letter != '\0' ? strchr(letters, letter) : NULL;
    if (found != NULL) {
        *text += 1;
        return (unsigned char)values[found - letters];
    }
    int high = letter == 'x' ? hex_digit((*text)[1]) : -1;
    if (high < 0)
        return -1;
    int low = hex_digit((*text)[2]);
    *text += low < 0 ? 2 : 3;
    return low < 0 ? high : high * 16 + low;
}

const char *set_escaped(void *target, char *text)
{
    struct bytes bytes = {text, 0};
    const char *rest = text; /* never behind what is written: an escape is longer than its byte */
    while (*rest != '\0') {
        int byte = (unsigned char)*rest++;
        if (byte == '\\' && (byte = parse_escape(&rest)) < 0)
            return "after a backslash one of n r t 0 \\ xHH is expected";
        bytes.data[bytes.size++] = (char)byte;
    }
    *(struct bytes *)target = bytes;
    return bytes.size != 0 ? NULL : "it must not be empty";
}

/* ----------------------------------------------------------------------------------------------------- durations, times */

/* parse_duration: digits with an optional fraction, and a unit. In fixed point, because 0.1 s must be exactly 100 ms. */
static bool parse_duration(const char *text, int64_t *ret_duration)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"", NS_PER_S}, {"s", NS_PER_S},      {"ms", NS_PER_MS},      {"us", 1000},
                 {"ns", 1},      {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"d", 86400 * NS_PER_S}};
    const char *unit = text + strspn(text, "0123456789.");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        int64_t total = 0, digit_ns = units[i].ns;
        bool fraction = false;
        if (!isdigit((unsigned char)text[0]))
            return false;
        for (const char *each = text; each != unit; each++) {
            if (*each == '.') {
                if (fraction || !isdigit((unsigned char)each[1]))
                    return false;
                fraction = true;
            } else if (fraction) {
                digit_ns /= 10;
                total += (*each - '0') * digit_ns; /* less than one unit in all, cannot overflow what is checked below */
            } else if (__builtin_mul_overflow(total, 10, &total) ||
                       __builtin_add_overflow(total, (*each - '0') * digit_ns, &total)) {
                return false;
            }
            if (total < 0)
                return false;
        }
        *ret_duration = total;
        return true;
    }
    return false;
}

const char *set_duration(void *target, char *text)
{
    return parse_duration(text, target) ? NULL : "a duration is expected: 10s, 1.5s, 200ms, 50us, 2m, 1h; seconds without a unit";
}

/* has_shape: whether text begins with digits where the shape has 0, and with the shape's characters elsewhere; strptime alone would
 * also take blanks and single digits. */
static bool has_shape(const char *text, const char *shape)
{
    for (; *shape != '\0'; shape++, text++)
        if (*shape == '0' ? !isdigit((unsigned char)*text) : *text != *shape)
            return false;
    return true;
}

/* parse_zone: "" (local), "Z" or "+02:00" behind a date and time; *ret_east is in seconds. */
static bool parse_zone(const char *text, bool *ret_local, int64_t *ret_east)
{
    *ret_local = text[0] == '\0';
    *ret_east = 0;
    if (*ret_local || strcmp(text, "Z") == 0)
        return true;
    struct tm zone = {0};
    if ((text[0] != '+' && text[0] != '-') || !has_shape(text + 1, "00:00") || text[6] != '\0' ||
        strptime(text + 1, "%H:%M", &zone) == NULL)
        return false;
    *ret_east = (text[0] == '+' ? 1 : -1) * (int64_t)(zone.tm_hour * 3600 + zone.tm_min * 60);
    return true;
}

/* parse_fraction: ".25" of a second, at most nine digits. Returns what follows, or NULL. */
static const char *parse_fraction(const char *text, int64_t *ret_ns)
{
    *ret_ns = 0;
    if (*text != '.')
        return text;
    int64_t digit_ns = NS_PER_S / 10;
    const char *digit = text + 1;
    for (; isdigit((unsigned char)*digit) && digit_ns != 0; digit++, digit_ns /= 10)
        *ret_ns += (*digit - '0') * digit_ns;
    return digit != text + 1 ? digit : NULL;
}

static bool parse_iso(const char *text, int64_t *ret_time)
{
    struct tm date = {.tm_isdst = -1};
    int64_t fraction = 0;
    const char *rest = has_shape(text, "0000-00-00") ? strptime(text, "%Y-%m-%d", &date) : NULL;
    if (rest == NULL)
        return false;
    if (*rest == 'T' || *rest == ' ') {
        const char *minute = has_shape(rest + 1, "00:00") ? strptime(rest + 1, "%H:%M", &date) : NULL;
        if (minute == NULL)
            return false;
        rest = has_shape(minute, ":00") ? strptime(minute, ":%S", &date) : minute;
        rest = rest != NULL ? parse_fraction(rest, &fraction) : NULL;
    }
    bool local;
    int64_t east;
    if (rest == NULL || !parse_zone(rest, &local, &east))
        return false;
    int day = date.tm_mday; /* strptime takes February 31st; the conversion would move it into March */
    int64_t seconds = local ? (int64_t)mktime(&date) : (int64_t)timegm(&date) - east;
    if (date.tm_mday != day || __builtin_mul_overflow(seconds, NS_PER_S, &seconds))
        return false;
    *ret_time = seconds + fraction;
    return true;
}

bool parse_time(const char *text, int64_t now, int64_t *ret_time)
{
    int64_t milliseconds, ago;
    if (text[0] == '-') {
        if (!parse_duration(text + 1, &ago))
            return false;
        *ret_time = now - ago;
        return true;
    }
    if (parse_integer(text, 0, INT64_MAX / NS_PER_MS, &milliseconds)) {
        *ret_time = milliseconds * NS_PER_MS;
        return true;
    }
    return parse_iso(text, ret_time);
}

/* --------------------------------------------------------------------------------------------------------------- names */

struct name {
    const char *text;
    uint32_t value;
};

static bool find_name(const struct name *names, size_t count, const char *text, uint32_t *ret_value)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i].text, text) == 0) {
            *ret_value = names[i].value;
            return true;
        }
    }
    return false;
}

const char *set_wait(void *target, char *text)
{
    static const struct name names[] = {
        {"auto", SPATE_WAIT_AUTO}, {"spin", SPATE_WAIT_SPIN}, {"yield", SPATE_WAIT_YIELD}, {"block", SPATE_WAIT_BLOCK}};
    return find_name(names, 4, text, target) ? NULL : "one of spin, yield, block, auto is expected";
}

const char *set_policy(void *target, char *text)
{
    static const struct name names[] = {
        {"gate", SPATE_POLICY_GATE}, {"skip", SPATE_POLICY_SKIP}, {"spill", SPATE_POLICY_SPILL}, {"auto", SPATE_POLICY_AUTO}};
    return find_name(names, 4, text, target) ? NULL : "one of gate, skip, spill, auto is expected";
}

const char *set_watermark(void *target, char *text)
{
    static const struct name names[] = {
        {"ring", SPATE_WATERMARK_RING}, {"written", SPATE_WATERMARK_WRITTEN}, {"durable", SPATE_WATERMARK_DURABLE}};
    return find_name(names, 3, text, target) ? NULL : "one of ring, written, durable is expected";
}

const char *set_start(void *target, char *text)
{
    struct start start = {0};
    bool valid = true;
    if (strcmp(text, "beginning") == 0)
        start.kind = SPATE_START_BEGINNING;
    else if (strcmp(text, "end") == 0)
        start.kind = SPATE_START_END;
    else if (text[0] == '@' || strncmp(text, "s@", 2) == 0) { /* kcat spells it s@ */
        start.kind = SPATE_START_TIME;
        valid = parse_time(strchr(text, '@') + 1, tool_now(), &start.value);
    } else if (text[0] == '-') {
        start.kind = SPATE_START_LAST;
        valid = parse_integer(text + 1, 1, INT64_MAX, &start.value);
    } else {
        start.kind = SPATE_START_OFFSET;
        valid = parse_integer(text, 0, INT64_MAX, &start.value);
    }
    if (!valid)
        return "one of beginning, end, OFFSET, -N (the last N), @MILLISECONDS, @2030-01-31T12:00:00Z, @-10s is expected";
    *(struct start *)target = start;
    return NULL;
}
