#include "service/service_control.h"

#include <stdlib.h>

#include "base/log.h"
#include "platform/local_server.h"

static enum err on_status(void *arg, struct status *out)
{
    const struct service_control *control = arg;
    return status_take(control->supervisor, out);
}

static enum err on_start(void *arg, const char *name, struct err_info *info)
{
    const struct service_control *control = arg;
    return supervisor_tunnel_start(control->supervisor, name, info);
}

static enum err on_stop(void *arg, const char *name, struct err_info *info)
{
    const struct service_control *control = arg;
    return supervisor_tunnel_stop(control->supervisor, name, info);
}

static enum err on_restart(void *arg, const char *name, struct err_info *info)
{
    const struct service_control *control = arg;
    return supervisor_tunnel_restart(control->supervisor, name, info);
}

static enum err on_reload(void *arg, struct err_info *info)
{
    const struct service_control *control = arg;
    struct supervisor_summary summary;
    char text[sizeof info->message];
    if (control->reloader == NULL)
        return err_set(info, ERR_MEMORY, "out of memory");
    enum err result = reloader_reload(control->reloader, "holdfast reload", &summary, info);
    if (result == OK)
        (void)err_set(info, OK, "%s", supervisor_summary_text(&summary, text, sizeof text));
    return result;
}

void service_control_open(struct service_control *control, uv_loop_t *loop, struct supervisor *supervisor,
                          struct reloader *reloader)
{
    const struct control_handlers handlers = {.status = on_status,
                                              .start = on_start,
                                              .stop = on_stop,
                                              .restart = on_restart,
                                              .reload = on_reload,
                                              .arg = control};
    struct err_info why;
    char *path = local_path_to_listen();
    *control = (struct service_control){.supervisor = supervisor, .reloader = reloader};
    if (path == NULL)
        (void)err_set(&why, ERR_IO, "no place for it is known");
    if (path != NULL && control_server_start(loop, path, &handlers, &control->server, &why) == OK)
        log_debug(NULL, "control channel at %s", path);
    else
        log_warning(NULL, "no control channel: %s; 'holdfast status' and the other commands do not reach this process",
                    why.message);
    free(path);
}

void service_control_close(struct service_control *control)
{
    control_server_stop(control->server);
    control->server = NULL;
}
