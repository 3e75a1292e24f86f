/* Durations and sizes as people write them, and times as logs print them. Pure. */
#ifndef HOLDFAST_BASE_DURATION_H
#define HOLDFAST_BASE_DURATION_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* "500ms", "15s", "2m", "1h" (a unit is required; one number, no sign) to milliseconds. ERR_DEFINITION with the reason.
 */
enum err duration_parse(const char *text, uint64_t *out_ms, struct err_info *info);
/* ssh_config's TIME FORMATS: "30", "30s", "10m", "1h30m", "1d", "1w" to milliseconds; a bare number is seconds. */
enum err duration_parse_ssh(const char *text, uint64_t *out_ms, struct err_info *info);
/* "64KiB", "1MiB", "1GiB" (a unit is required) to bytes. */
enum err size_parse(const char *text, uint64_t *out_bytes, struct err_info *info);
/* ssh_config's sizes: "1G", "512M", "64K", "4096". */
enum err size_parse_ssh(const char *text, uint64_t *out_bytes, struct err_info *info);
/* 1500 -> "1.5s", 250 -> "250ms", 90000 -> "1m30s". Returns `out`. */
const char *duration_text(uint64_t ms, char *out, size_t cap_bytes);
/* Now, as milliseconds since 1970-01-01 UTC by the system's clock, which may be set back. */
uint64_t time_unix_ms(void);
/* Such a time as RFC 3339 UTC with milliseconds; `out` of at least 32 bytes. Returns `out`. */
const char *time_text(uint64_t unix_ms, char *out, size_t cap_bytes);
/* Such a text back to a time: RFC 3339 in UTC ("Z"), with any fraction of a second or none. ERR_PROTOCOL: it is none,
 * or before 1970. */
enum err time_parse(const char *text, uint64_t *out_unix_ms);
/* Now as RFC 3339 UTC with milliseconds ("2026-11-22T21:00:00.123Z"); `out` of at least 32 bytes. */
const char *time_text_now(char *out, size_t cap_bytes);

#endif
