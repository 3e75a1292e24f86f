/* The commands' end of the control channel. Blocking: it runs a loop of its own meanwhile. */
#ifndef HOLDFAST_CONTROL_CLIENT_H
#define HOLDFAST_CONTROL_CLIENT_H

#include "control/protocol.h"

enum { CONTROL_ANSWER_TIMEOUT_MS = 15000 };

struct control_client;

/* Connects to the service that HOLDFAST_CONTROL names, else to the person's own, else to the machine's. ERR_CONNECT
 * when none is running, ERR_REFUSED when one is and does not admit us, each with a sentence that says what to do. */
enum err control_client_open(struct control_client **out, struct err_info *info);
/* `client` may be NULL. */
void control_client_close(struct control_client *client);
/* Where the service is that it is connected to, for messages. */
const char *control_client_path(const struct control_client *client);

/* Sends a request. ERR_CLOSED when the service went away. */
enum err control_client_send(struct control_client *client, const struct control_request *request,
                             struct err_info *info);
/* The next reply, whatever its kind; the caller deinits it. `timeout_ms` 0: as long as it takes. ERR_TIMEOUT,
 * ERR_CLOSED, ERR_PROTOCOL. */
enum err control_client_next(struct control_client *client, uint64_t timeout_ms, struct control_reply *out,
                             struct err_info *info);
/* Both, for one reply: a reply that is an error is returned as that error. */
enum err control_client_ask(struct control_client *client, const struct control_request *request,
                            struct control_reply *out, struct err_info *info);

#endif
