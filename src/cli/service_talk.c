#include "cli/service_talk.h"

#include "cli/cli.h"
#include "cli/common.h"

int service_complain(const struct err_info *why)
{
    (void)cli_usage("%s", why->message);
    return why->code == ERR_USAGE || why->code == ERR_UNSUPPORTED || why->code == ERR_DEFINITION ? CLI_USAGE
                                                                                                 : CLI_FAILED;
}

int service_ask(const struct control_request *request, struct control_client **client, struct control_reply *reply)
{
    struct err_info why;
    if (control_client_open(client, &why) != OK || control_client_ask(*client, request, reply, &why) != OK)
        return service_complain(&why);
    if (request->command == CONTROL_STATUS && reply->status == NULL) {
        (void)err_set(&why, ERR_PROTOCOL, "the service at %.300s answered without a status",
                      control_client_path(*client));
        return service_complain(&why);
    }
    return CLI_OK;
}
