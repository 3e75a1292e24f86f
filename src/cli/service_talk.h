/* What the commands that ask a running service share. */
#ifndef HOLDFAST_CLI_SERVICE_TALK_H
#define HOLDFAST_CLI_SERVICE_TALK_H

#include "control/client.h"

/* The exit code of a failure, after one line about it on standard error. */
int service_complain(const struct err_info *why);
/* Connects and asks for one thing. CLI_OK with the reply and the connection, or an exit code after one line on standard
 * error. The caller ends both, in either case. */
int service_ask(const struct control_request *request, struct control_client **client, struct control_reply *reply);

#endif
