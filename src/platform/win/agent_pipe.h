/* An agent at a named pipe. Room-internal. */
#ifndef HOLDFAST_PLATFORM_WIN_AGENT_PIPE_H
#define HOLDFAST_PLATFORM_WIN_AGENT_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/win/access.h"

struct win_agent_pipe {
    HANDLE pipe;
    HANDLE event; /* of the one operation under way */
};

/* True for a path that is one of a pipe of this machine, whichever way its slashes lean. */
bool win_agent_pipe_is_name(const char *path);
/* The path as the system has it, as a heap string; NULL when it names no pipe, or out of memory. */
wchar_t *win_agent_pipe_wide(const char *path);
/* True when somebody serves a pipe of that name. */
bool win_agent_pipe_exists(const char *path);
/* Whose pipe it is: its owner's, or where the system keeps none (Wine) that of the process behind it. False when that
 * is not known. */
bool win_agent_pipe_server(HANDLE pipe, union win_sid *out);
/* Opens it, and refuses one that another user serves; `deadline_ns` is of uv_hrtime. `pipe` is to be closed in any
 * case. */
enum err win_agent_pipe_open(struct win_agent_pipe *pipe, const char *path, uint64_t deadline_ns,
                             struct err_info *info);
/* Moves all of `data`. */
enum err win_agent_pipe_write(struct win_agent_pipe *pipe, const uint8_t *data, size_t len, uint64_t deadline_ns,
                              struct err_info *info);
enum err win_agent_pipe_read(struct win_agent_pipe *pipe, uint8_t *data, size_t len, uint64_t deadline_ns,
                             struct err_info *info);
void win_agent_pipe_close(struct win_agent_pipe *pipe);

#endif
