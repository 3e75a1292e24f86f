/* What is answered to one request, but for logs. Room-internal. */
#ifndef HOLDFAST_CONTROL_ANSWER_H
#define HOLDFAST_CONTROL_ANSWER_H

#include "base/log_ring.h"
#include "control/protocol.h"
#include "control/server.h"

/* Carries the request out; its reply as a heap string, NULL when out of memory. */
char *control_answer(const struct control_handlers *handlers, const struct control_request *request);
/* OK when each name of the request is a tunnel's; else ERR_USAGE, naming those there are. */
enum err control_check_names(const struct control_handlers *handlers, const struct control_request *request,
                             struct err_info *info);
/* One line of the log as a reply. */
char *control_answer_log(const struct log_ring_line *line);

#endif
