/* How large a log's file may become, in definitions (`log:`) and in flags. */
#ifndef HOLDFAST_CONFIG_LOG_FILE_H
#define HOLDFAST_CONFIG_LOG_FILE_H

#include <stdint.h>

#include "base/err.h"

#define CONFIG_LOG_MAX_BYTES (UINT64_C(10) << 20)
#define CONFIG_LOG_KEEP 5U

/* A size from 64KiB to 1TiB; a count from 1 to 99. ERR_DEFINITION with a sentence that does not name the key. Pure. */
enum err log_size_parse(const char *text, uint64_t *out_bytes, struct err_info *info);
enum err log_keep_parse(const char *text, unsigned *out, struct err_info *info);

#endif
