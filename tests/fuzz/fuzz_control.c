/* The control protocol: requests as a server takes them apart and replies as a client does; what was understood is
 * written again and must be understood in the same way. Build and run: see tests/fuzz/run. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void there_and_back(const struct control_request *request)
{
    struct control_request again;
    struct err_info info;
    char *line = control_request_encode(request);
    check(line != NULL);
    size_t len = strlen(line);
    check(len > 0 && memchr(line, '\n', len) == line + len - 1);
    check(control_request_decode(line, len - 1, &again, &info) == OK);
    check(again.command == request->command && again.name_count == request->name_count &&
          again.follow == request->follow);
    for (size_t i = 0; i < again.name_count; i++)
        check(strcmp(again.names[i], request->names[i]) == 0);
    control_request_deinit(&again);
    free(line);
}

static void answer_with(const struct err_info *why)
{
    struct control_reply reply;
    struct err_info info;
    char *line = control_reply_error(why);
    check(line != NULL);
    check(control_reply_decode(line, strlen(line) - 1, &reply, &info) == OK);
    check(reply.kind == CONTROL_REPLY_ERROR && reply.error.code == why->code);
    control_reply_deinit(&reply);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_request request;
    struct control_reply reply;
    struct err_info info = {.code = OK};
    const char *line = (const char *)data;
    enum err result = control_request_decode(line, size, &request, &info);
    if (result == OK) {
        there_and_back(&request);
        control_request_deinit(&request);
    } else {
        check(info.code == result && info.message[0] != '\0' && request.names == NULL);
        answer_with(&info);
    }
    if (control_reply_decode(line, size, &reply, &info) == OK)
        control_reply_deinit(&reply);
    return 0;
}
