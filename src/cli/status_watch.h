/* `holdfast status --watch`. */
#ifndef HOLDFAST_CLI_STATUS_WATCH_H
#define HOLDFAST_CLI_STATUS_WATCH_H

#include "control/client.h"

/* Shows the status until a person has seen enough: as a picture where standard output is a terminal, else as a line for
 * each change. Takes over `client`, which has answered `first` (borrowed). Returns the exit code. */
int status_watch(struct control_client *client, const struct control_request *request, json_t *first);

#endif
