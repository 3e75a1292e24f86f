#include "service/service_control.h"

#include <stdlib.h>

#include "base/log.h"
#include "platform/local_server.h"

static enum err on_status(void *arg, struct status *out)
{
    return status_take(arg, out);
}

static enum err on_start(void *arg, const char *name, struct err_info *info)
{
    return supervisor_tunnel_start(arg, name, info);
}

static enum err on_stop(void *arg, const char *name, struct err_info *info)
{
    return supervisor_tunnel_stop(arg, name, info);
}

static enum err on_restart(void *arg, const char *name, struct err_info *info)
{
    return supervisor_tunnel_restart(arg, name, info);
}

struct control_server *service_control_open(uv_loop_t *loop, struct supervisor *supervisor)
{
    const struct control_handlers handlers = {
        .status = on_status, .start = on_start, .stop = on_stop, .restart = on_restart, .arg = supervisor};
    struct control_server *server = NULL;
    struct err_info why;
    char *path = local_path_to_listen();
    if (path == NULL)
        (void)err_set(&why, ERR_IO, "no place for it is known");
    if (path != NULL && control_server_start(loop, path, &handlers, &server, &why) == OK)
        log_debug(NULL, "control channel at %s", path);
    else
        log_warning(NULL, "no control channel: %s; 'holdfast status' and the other commands do not reach this process",
                    why.message);
    free(path);
    return server;
}
