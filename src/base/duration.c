#include "base/duration.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

/* Reads digits at *at into `out` and moves *at behind them. False when there is none or when it does not fit. */
static bool read_number(const char **at, uint64_t *out)
{
    const char *p = *at;
    uint64_t value = 0;
    if (*p < '0' || *p > '9') {
        return false;
    }
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *at = p;
    *out = value;
    return true;
}

static bool multiply(uint64_t value, uint64_t unit, uint64_t *out)
{
    if (value > UINT64_MAX / unit) {
        return false;
    }
    *out = value * unit;
    return true;
}

enum err duration_parse(const char *text, uint64_t *out_ms, struct err_info *info)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    const char *at = text;
    uint64_t value = 0;
    if (read_number(&at, &value)) {
        if (*at == '\0') {
            return err_set(info, ERR_DEFINITION, "'%.40s' has no unit; write %.40ss, or another of ms, s, m and h",
                           text, text);
        }
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strcmp(at, units[i].name) == 0 && multiply(value, units[i].ms, out_ms)) {
                return OK;
            }
        }
    }
    return err_set(info, ERR_DEFINITION, "'%.40s' is not a duration such as 500ms, 15s, 2m or 1h", text);
}

static uint64_t ssh_time_unit(char letter)
{
    switch (letter) {
    case 's':
    case 'S': return 1;
    case 'm':
    case 'M': return 60;
    case 'h':
    case 'H': return 3600;
    case 'd':
    case 'D': return 86400;
    case 'w':
    case 'W': return 604800;
    default: return 0;
    }
}

enum err duration_parse_ssh(const char *text, uint64_t *out_ms, struct err_info *info)
{
    const char *at = text;
    uint64_t total_ms = 0;
    do {
        uint64_t value = 0;
        uint64_t part_ms = 0;
        uint64_t unit = 1;
        if (!read_number(&at, &value)) {
            goto bad;
        }
        if (*at != '\0') {
            unit = ssh_time_unit(*at++);
        }
        if (unit == 0 || !multiply(value, unit * 1000, &part_ms) || part_ms > UINT64_MAX - total_ms) {
            goto bad;
        }
        total_ms += part_ms;
    } while (*at != '\0');
    *out_ms = total_ms;
    return OK;
bad:
    return err_set(info, ERR_DEFINITION, "'%.40s' is not a time such as 30, 30s, 10m or 1h30m", text);
}

enum err size_parse(const char *text, uint64_t *out_bytes, struct err_info *info)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {{"KiB", UINT64_C(1) << 10}, {"MiB", UINT64_C(1) << 20}, {"GiB", UINT64_C(1) << 30}};
    const char *at = text;
    uint64_t value = 0;
    if (read_number(&at, &value)) {
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            if (strcmp(at, units[i].name) == 0 && multiply(value, units[i].bytes, out_bytes)) {
                return OK;
            }
        }
    }
    return err_set(info, ERR_DEFINITION, "'%.40s' is not a size such as 64KiB, 1MiB or 1GiB", text);
}

enum err size_parse_ssh(const char *text, uint64_t *out_bytes, struct err_info *info)
{
    static const char letters[] = "kKmMgG";
    const char *at = text;
    uint64_t value = 0;
    uint64_t unit = 1;
    if (!read_number(&at, &value)) {
        goto bad;
    }
    if (*at != '\0') {
        const char *letter = strchr(letters, *at++);
        if (letter == NULL || *at != '\0') {
            goto bad;
        }
        unit = UINT64_C(1) << (10 * ((letter - letters) / 2 + 1));
    }
    if (multiply(value, unit, out_bytes)) {
        return OK;
    }
bad:
    return err_set(info, ERR_DEFINITION, "'%.40s' is not a size such as 4096, 64K, 512M or 1G", text);
}

const char *duration_text(uint64_t ms, char *out, size_t cap_bytes)
{
    unsigned long long whole = ms / 1000;
    unsigned long long rest = ms % 1000;
    if (ms < 1000 && ms != 0) {
        (void)snprintf(out, cap_bytes, "%llums", rest);
    } else if (ms < 60000) {
        int digits = rest % 100 == 0 ? 1 : rest % 10 == 0 ? 2 : 3;
        unsigned long long shown = digits == 1 ? rest / 100 : digits == 2 ? rest / 10 : rest;
        if (rest == 0) {
            (void)snprintf(out, cap_bytes, "%llus", whole);
        } else {
            (void)snprintf(out, cap_bytes, "%llu.%0*llus", whole, digits, shown);
        }
    } else {
        char *at = out;
        size_t left = cap_bytes;
        static const struct {
            unsigned long long seconds;
            char letter;
        } units[] = {{3600, 'h'}, {60, 'm'}, {1, 's'}};
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
            unsigned long long count = whole / units[i].seconds;
            whole %= units[i].seconds;
            if (count > 0) {
                int written = snprintf(at, left, "%llu%c", count, units[i].letter);
                if (written < 0 || (size_t)written >= left) {
                    break;
                }
                at += written;
                left -= (size_t)written;
            }
        }
    }
    return out;
}

/* The civil date of a number of days since 1970-01-01, in a calendar whose years begin in March, so that the leap day
 * comes last. */
static void civil_from_days(int64_t days, int *year, int *month, int *day)
{
    int64_t shifted = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    *month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2 ? 1 : 0));
}

uint64_t time_unix_ms(void)
{
    uv_timeval64_t now = {0, 0};
    (void)uv_gettimeofday(&now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000;
}

const char *time_text(uint64_t unix_ms, char *out, size_t cap_bytes)
{
    int year = 1970;
    int month = 1;
    int day = 1;
    int64_t seconds = (int64_t)(unix_ms / 1000);
    civil_from_days(seconds / 86400, &year, &month, &day);
    int second = (int)(seconds % 86400);
    (void)snprintf(out, cap_bytes, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day, second / 3600,
                   second / 60 % 60, second % 60, (int)(unix_ms % 1000));
    return out;
}

/* The days since 1970-01-01 of a civil date, by the same calendar. */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t from_march = year - (month <= 2 ? 1 : 0);
    int64_t era = from_march / 400;
    int64_t year_of_era = from_march % 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

/* Takes a number of so many digits, and the character behind it if that is not NUL. */
static bool take_number(const char **at, int digits, char behind, int *out)
{
    *out = 0;
    for (; digits > 0; digits--, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *out = *out * 10 + (**at - '0');
    }
    if (behind == '\0')
        return true;
    return *(*at)++ == behind;
}

enum err time_parse(const char *text, uint64_t *out_unix_ms)
{
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    uint64_t ms = 0;
    const char *at = text;
    if (!take_number(&at, 4, '-', &year) || !take_number(&at, 2, '-', &month) || !take_number(&at, 2, 'T', &day) ||
        !take_number(&at, 2, ':', &hour) || !take_number(&at, 2, ':', &minute) || !take_number(&at, 2, '\0', &second))
        return ERR_PROTOCOL;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return ERR_PROTOCOL;
    if (*at == '.') {
        uint64_t unit_ms = 100;
        for (at++; *at >= '0' && *at <= '9'; at++) {
            ms += (uint64_t)(*at - '0') * unit_ms;
            unit_ms /= 10;
        }
    }
    if (strcmp(at, "Z") != 0)
        return ERR_PROTOCOL;
    int64_t seconds = days_from_civil(year, month, day) * 86400 + (int64_t)hour * 3600 + (int64_t)minute * 60 + second;
    *out_unix_ms = (uint64_t)seconds * 1000 + ms;
    return OK;
}

const char *time_text_now(char *out, size_t cap_bytes)
{
    return time_text(time_unix_ms(), out, cap_bytes);
}
