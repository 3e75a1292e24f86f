/* The byte stream to an ssh-agent: a Unix socket (posix); a named pipe or Pageant's window (Windows). What is said over
 * it is session/'s. */
#ifndef HOLDFAST_PLATFORM_AGENT_H
#define HOLDFAST_PLATFORM_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct platform_agent;

/* Where to ask when the user named no agent: $SSH_AUTH_SOCK; on Windows, unless that names a pipe, the pipe of
 * Win32-OpenSSH's agent, else Pageant, whichever is there now. Heap string; NULL: there is none. Any thread. */
char *platform_agent_default(void);
/* True for what names an agent and is no path of a file: a pipe's name, or Pageant's word, on Windows. */
bool platform_agent_is_address(const char *text);
/* Connects to the agent at `path`. Blocking, for at most `timeout_ms`: from a worker thread only. ERR_CONNECT when
 * nobody listens there, ERR_TIMEOUT when it takes no more connections, ERR_REFUSED when it belongs to another user,
 * ERR_UNSUPPORTED for a path that this system has no agents at. */
enum err platform_agent_connect(const char *path, uint64_t timeout_ms, struct platform_agent **out,
                                struct err_info *info);
/* Sends `request` and reads one answer, both without the four length bytes in front, which are added and taken away
 * here. Blocking, for at most `timeout_ms` in all. The answer is heap memory that the caller wipes and frees; one that
 * is empty or larger than `cap_bytes` is ERR_PROTOCOL. After any error the connection is of no more use. */
enum err platform_agent_exchange(struct platform_agent *agent, const uint8_t *request, size_t request_len,
                                 size_t cap_bytes, uint64_t timeout_ms, uint8_t **out_answer, size_t *out_answer_len,
                                 struct err_info *info);
void platform_agent_close(struct platform_agent *agent);

#endif
