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

/* main()'s words in UTF-8, for the life of the process: on Windows they come in a code page. */
char **platform_arguments(int argc, char **argv);

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
/* True for a path below `folder`, as both are written: links and `..` are not followed. On Windows capitals and both
 * separators are alike. */
bool platform_path_is_below(const char *folder, const char *path);
/* The folder that the file `path` is in, as it is written, as a heap string: "/" of "/a", "." of "a"; on Windows "C:\"
 * of "C:\a" and "C:" of "C:a". NULL when out of memory. */
char *platform_path_folder(const char *path);
/* `path` as seen from directory `dir` (returned as is when absolute; a leading ~/ is the home directory). On Windows
 * \a is a path on `dir`'s drive, and /dev/null is NUL. */
char *platform_path_resolve(const char *dir, const char *path);

/* Whether local sockets behave here as a forward needs them to: ends pass each way alone, and only the owner connects.
 * Windows' named pipes do neither. */
bool platform_has_local_sockets(void);

/* uv_tcp_bind for a listener that nobody may take over: Windows lets any program bind a port again that is in use,
 * unless its first owner forbids it (SO_EXCLUSIVEADDRUSE). 0 or a libuv status. */
int platform_tcp_bind(uv_tcp_t *tcp, const struct sockaddr *address, unsigned flags);
/* TCP_USER_TIMEOUT (Linux), TCP_CONNECTIONTIMEOUT-like (macOS), TCP_MAXRT (Windows): unacknowledged data ends the
 * connection after `timeout_ms`. Best effort. */
void platform_tcp_user_timeout(const uv_tcp_t *tcp, unsigned timeout_ms);
/* Bounds unsent bytes in the kernel (TCP_NOTSENT_LOWAT) where the system has it. Best effort. */
void platform_tcp_notsent_lowat(const uv_tcp_t *tcp, unsigned bytes);
/* Has the system acknowledge the next few segments as they come (TCP_QUICKACK, Linux). Best effort. */
void platform_tcp_quick_ack(const uv_tcp_t *tcp);
/* Bytes that were written to tcp and that the peer's system has not acknowledged yet (SIOCOUTQ on Linux, SO_NWRITE on
 * macOS); -1 where the system does not say. */
int64_t platform_tcp_unacknowledged(const uv_tcp_t *tcp);
/* How many descriptors this process may have, for messages; 0 when unknown. */
unsigned long platform_descriptor_limit(void);

/* Offers the processor to other threads that want it. Any thread. */
void platform_yield(void);

/* Whether the processor has instructions for AES and for the multiplication of its GCM mode: with them AES-GCM is the
 * fastest cipher there is, without them ChaCha20 is. False where that is not known. Any thread. */
bool platform_has_aes(void);

/* Whether the system's service manager started us: %ProgramData% is our place then, and no user's session is ours.
 * Always false where services are processes like others. */
bool platform_is_service(void);

/* For program.c: the flags of uv_spawn (no window of its own; a process group that can be killed as one). */
unsigned platform_program_flags(void);
/* Kills a program that platform_program_flags began, and what it started where the system can. 0 or a libuv status. */
int platform_program_kill(uv_process_t *process);
/* Before the handle of a program that still runs is closed: what the system keeps of it once it has ended is thrown
 * away by platform_program_reap. */
void platform_program_forget(const uv_process_t *process);
void platform_program_reap(void);
/* What a program of this system printed, as a heap string in UTF-8, up to the first NUL: UTF-16LE, UTF-8, or the
 * console's code page of Windows. NULL when out of memory. */
char *platform_program_text(const char *bytes, size_t len);

/* Whether this system can have distributions of the Windows subsystem for Linux. */
bool platform_has_wsl(void);
/* Whether those distributions belong to somebody else than us, as they do when we are a service. */
bool platform_wsl_is_of_another(void);
/* Where wsl.exe is, as a heap string; it need not exist. NULL when out of memory. */
char *platform_wsl_program(void);

/* The inbound rule of the system's firewall called `rule`, for TCP ports of this very program. Adding replaces it;
 * removing takes away that rule of this program and no other. Blocking. ERR_AUTH without the rights for it,
 * ERR_UNSUPPORTED where we have no way to do so; `info` says what to do. `rule` has no quotes in it. */
enum err platform_firewall_allow(const char *rule, const uint16_t *ports, size_t port_count, struct err_info *info);
enum err platform_firewall_remove(const char *rule, struct err_info *info);

/* Asks on the terminal (/dev/tty or the console) with echo off or on. Blocking: from a worker thread only. Heap string
 * that the caller wipes and frees. ERR_UNSUPPORTED when there is no terminal, ERR_CANCELLED on end of input. */
enum err platform_terminal_ask(const char *prompt, bool echo, char **out_answer, struct err_info *info);
bool platform_has_terminal(void);
/* Ends a question that is waiting for its answer, and all later ones, with ERR_CANCELLED. Any thread; for a process
 * that has been asked to stop. */
void platform_terminal_cancel(void);
/* Overwrites secrets; not optimised away. */
void platform_wipe(void *data, size_t len);

/* Checks that nobody else can read the private key file, as ssh does. OK, or ERR_IO with what to run to mend it.
 * posix: a file of ours that others can read is refused, one of another owner is that owner's affair. Windows: besides
 * us, its owner, SYSTEM, Administrators and single services may be in its access list. */
enum err platform_key_file_check(const char *path, struct err_info *info);
/* The same for a service's account (`NT SERVICE\holdfast`, DOMAIN\name, LocalSystem), which need not be ours: OK when
 * it can read the file and nobody else can. ERR_REFUSED: it cannot; ERR_IO: others can, or the file is not there; each
 * with the command that mends it. ERR_USAGE: there is no such account. With `fix` the access list is made right first:
 * the account and the owner read, SYSTEM and Administrators do all. posix: the service manager, as root, reads it for
 * the account, so that we have to be able to read it, and nobody else but its owner; `fix` makes its mode 0600.
 * Blocking. */
enum err platform_key_file_check_for(const char *path, const char *account, bool fix, struct err_info *info);

/* What a service manager calls its copy of the file `path` (an absolute path) when it reads it for a service that
 * cannot (LoadCredential= of systemd): the path with '-' for each '/' and _XX for each byte but letters, digits and
 * dots, so that two paths never have one name. Heap string; NULL when it would be longer than a file's name, or out of
 * memory. Pure. */
char *platform_credential_name(const char *path);
/* Whether a service manager has handed us copies of files ($CREDENTIALS_DIRECTORY). Never on Windows. */
bool platform_has_credentials(void);
/* Where that copy of `path` is, as a heap string; NULL when there is none that we can read. */
char *platform_credential(const char *path);

/* Makes the file with all of `data`, or none: only its owner can read it (mode 0600; on Windows an access list of the
 * owner, SYSTEM and Administrators). Never over an existing file. Blocking. ERR_IO names the file. */
enum err platform_private_file_new(const char *path, const void *data, size_t len, struct err_info *info);

/* An exclusive lock file holding our pid. ERR_BUSY when somebody has it, with the message "already kept by process
 * 1234" to be put after a subject. A file that holdfast did not make, or a link, is left as it is: ERR_IO, with its
 * name and what to do. The lock ends with the process; releasing it removes the file. `lock` may be NULL. */
struct platform_lock;
enum err platform_lock_take(const char *path, struct platform_lock **out, struct err_info *info);
void platform_lock_release(struct platform_lock *lock);

#endif
