/* PuTTY's Pageant: a pipe since 0.75, and a window that takes messages since ever. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WIN_AGENT_PAGEANT_H
#define HOLDFAST_PLATFORM_WIN_AGENT_PAGEANT_H

#include <stdint.h>

#include "platform/win/common.h"

/* The name of this user's pipe, whether it is there or not; heap string, or NULL. */
char *win_pageant_pipe_name(void);
/* The window of a Pageant of ours, NULL when there is none. ERR_REFUSED: it is somebody else's. */
enum err win_pageant_window(HWND *out, struct err_info *info);
/* As platform_agent_exchange, through memory that both see. */
enum err win_pageant_exchange(HWND window, const uint8_t *request, size_t request_len, size_t cap_bytes,
                              uint64_t timeout_ms, uint8_t **out_answer, size_t *out_answer_len, struct err_info *info);

#endif
