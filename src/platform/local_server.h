/* A local control endpoint: a Unix socket (posix/) or a named pipe (win/), server's and client's side. Only its owner
 * and the system's administrators get in. On the loop's thread; nothing here blocks for long. */
#ifndef HOLDFAST_PLATFORM_LOCAL_SERVER_H
#define HOLDFAST_PLATFORM_LOCAL_SERVER_H

#include <uv.h>

#include "base/err.h"

/* Where a service's endpoint is, as heap strings; NULL when out of memory or unknowable.
 * posix: the machine's is /run/holdfast/control.sock (/var/run on macOS), a person's control.sock in
 * $XDG_RUNTIME_DIR/holdfast, or in the state directory where there is no such folder.
 * Windows: \\.\pipe\holdfast, and the same with -SID. */
char *local_path_given(void); /* $HOLDFAST_CONTROL; NULL when that is not set */
char *local_path_of_machine(void);
char *local_path_of_person(void);
/* Where a person's is that was started with a login session while we have none, or the other way round, as by cron;
 * NULL when there is no such place. */
char *local_path_of_person_elsewhere(void);
/* Where this process is to listen: $HOLDFAST_CONTROL, else the machine's endpoint for a service and for root without
 * XDG_RUNTIME_DIR ($RUNTIME_DIRECTORY of systemd comes first), else the person's. */
char *local_path_to_listen(void);

struct local_server;

enum {
    LOCAL_CONNECT_BUSY_MS = 5000, /* so long a client tries where too many others wait */
    LOCAL_CONNECT_RETRY_MS = 20
};

/* Somebody connected who may. `stream` is a handle from malloc with `data` NULL, the receiver's from now on. */
typedef void local_server_cb(void *arg, uv_stream_t *stream);

/* Listens at `path`, with handles that do not keep the loop running. How many connections there may be is for
 * `on_connection` to say, which closes those that are too many. posix: the last folder of `path` is made, mode 0700,
 * when missing; a socket that nobody answers at any more is taken over, and nothing else that lies there is. ERR_BUSY:
 * another process listens there, and on posix the message says which where that can be known. ERR_USAGE: `path` cannot
 * be one. ERR_IO; with either the message says what to do. */
enum err local_server_start(uv_loop_t *loop, const char *path, local_server_cb *on_connection, void *arg,
                            struct local_server **out, struct err_info *info);
/* Ends it, at once as far as callbacks go; the loop has to run once more for the memory to go. The connections that
 * were handed out stay. May be NULL. */
void local_server_stop(struct local_server *server);

/* Exactly once, never inside local_connect: the connected handle from malloc, the receiver's from now on; or NULL and
 * why: ERR_CONNECT, nobody listens there; ERR_REFUSED, somebody does, and does not admit us, or is neither we nor the
 * system's administrators nor one of its services; ERR_BUSY, too many others waited there for LOCAL_CONNECT_BUSY_MS.
 * When ERR_MEMORY is returned it does not come. */
typedef void local_connect_cb(void *arg, uv_stream_t *stream, const struct err_info *why);
enum err local_connect(uv_loop_t *loop, const char *path, local_connect_cb *on_connected, void *arg);

#endif
