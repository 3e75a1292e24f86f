/* What libuv does not cover. One file per system under posix/ and win/, the same contract. */
#ifndef HOLDFAST_PLATFORM_PLATFORM_H
#define HOLDFAST_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

/* Once, first thing in main: ignore SIGPIPE, see that descriptors 0 to 2 are open, raise the descriptor limit to the
 * hard one, set the console to UTF-8. */
void platform_init(void);

/* All paths below are heap strings, NULL when out of memory or unknowable. */
char *platform_home_dir(void);
char *platform_user_name(void);
/* ~/.ssh on every system (%USERPROFILE%\.ssh). */
char *platform_ssh_dir(void);
/* Where OpenSSH keeps what holds for all users: /etc/ssh, %ProgramData%\ssh. */
char *platform_system_ssh_dir(void);
/* The file that is always empty and forgets what is written to it. Static storage. */
const char *platform_null_device(void);
/* Where `run` and `check` look without -c: $XDG_CONFIG_HOME/holdfast when set, else /etc/holdfast for root, else
 * ~/.config/holdfast; %ProgramData%\holdfast for a service of Windows, else %APPDATA%\holdfast. */
char *platform_default_definitions(void);
/* $STATE_DIRECTORY (a service manager's) or $XDG_STATE_HOME/holdfast when set, else /var/lib/holdfast for root, else
 * ~/.local/state/holdfast; %ProgramData%\holdfast\state for a service of Windows, else %LOCALAPPDATA%\holdfast\state.
 * Created (mode 0700) when missing. */
char *platform_state_dir(struct err_info *info);
/* True for an absolute path of this system; nothing is expanded. */
bool platform_path_is_absolute(const char *path);
/* `path` as seen from directory `dir` (returned as is when absolute; a leading ~/ is the home directory). On Windows
 * \a is a path on `dir`'s drive, and /dev/null is NUL. */
char *platform_path_resolve(const char *dir, const char *path);

/* Whether local sockets behave here as a forward needs them to: ends pass each way alone, and only the owner connects.
 * Windows' named pipes do neither. */
bool platform_has_local_sockets(void);

/* TCP_USER_TIMEOUT (Linux), TCP_CONNECTIONTIMEOUT-like (macOS), TCP_MAXRT (Windows): unacknowledged data ends the
 * connection after `timeout_ms`. Best effort. */
void platform_tcp_user_timeout(const uv_tcp_t *tcp, unsigned timeout_ms);
/* Bounds unsent bytes in the kernel (TCP_NOTSENT_LOWAT) where the system has it. Best effort. */
void platform_tcp_notsent_lowat(const uv_tcp_t *tcp, unsigned bytes);
/* Has the loop woken only when `bytes` have come (1: any). False where the system's poll does not heed it. The caller
 * must take it back when the rest of a stream is shorter. */
bool platform_tcp_receive_lowat(const uv_tcp_t *tcp, unsigned bytes);
/* How many descriptors this process may have, for messages; 0 when unknown. */
unsigned long platform_descriptor_limit(void);

/* Asks on the terminal (/dev/tty or the console) with echo off or on. Blocking: from a worker thread only. Heap string
 * that the caller wipes and frees. ERR_UNSUPPORTED when there is no terminal, ERR_CANCELLED on end of input. */
enum err platform_terminal_ask(const char *prompt, bool echo, char **out_answer, struct err_info *info);
bool platform_has_terminal(void);
/* Ends a question that is waiting for its answer, and all later ones, with ERR_CANCELLED. Any thread; for a process
 * that has been asked to stop. */
void platform_terminal_cancel(void);
/* Overwrites secrets; not optimised away. */
void platform_wipe(void *data, size_t len);

/* Checks that only the owner can read the private key file, as ssh does: a file of ours that others can read is
 * refused, one of another owner is that owner's affair. OK, or ERR_IO with what to run to mend it. */
enum err platform_key_file_check(const char *path, struct err_info *info);

/* An exclusive lock file holding our pid. ERR_BUSY when somebody has it, with the message "already kept by process
 * 1234" to be put after a subject. The lock ends with the process; releasing it removes the file. `lock` may be NULL.
 */
struct platform_lock;
enum err platform_lock_take(const char *path, struct platform_lock **out, struct err_info *info);
void platform_lock_release(struct platform_lock *lock);

#endif
