/* Changes of the network from Windows' IP helper: addresses of both families and routes, told in a thread of its own.
 */
#include <stdlib.h>

#include <winsock2.h>

#include <ws2ipdef.h>

#include <iphlpapi.h>

#include "platform/wake_internal.h"

struct network_watch {
    uv_async_t async;
    HANDLE addresses;
    void (*on_change)(void *arg);
    void *arg;
};

static void on_async(uv_async_t *async)
{
    struct network_watch *watch = async->data;
    watch->on_change(watch->arg);
}

static void WINAPI on_address(void *context, PMIB_UNICASTIPADDRESS_ROW row, MIB_NOTIFICATION_TYPE type)
{
    struct network_watch *watch = context;
    (void)row;
    if (type != MibInitialNotification) {
        (void)uv_async_send(&watch->async);
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct network_watch *network_watch_start(uv_loop_t *loop, void (*on_change)(void *arg), void *arg)
{
    struct network_watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    watch->on_change = on_change;
    watch->arg = arg;
    watch->async.data = watch;
    if (uv_async_init(loop, &watch->async, on_async) != 0) {
        free(watch);
        return NULL;
    }
    uv_unref((uv_handle_t *)&watch->async);
    if (NotifyUnicastIpAddressChange(AF_UNSPEC, on_address, watch, FALSE, &watch->addresses) != NO_ERROR) {
        watch->addresses = NULL; /* Wine has no such thing */
        uv_close((uv_handle_t *)&watch->async, on_closed);
        return NULL;
    }
    return watch;
}

void network_watch_stop(struct network_watch *watch)
{
    if (watch != NULL) {
        (void)CancelMibChangeNotify2(watch->addresses); /* waits for a notification that is under way */
        uv_close((uv_handle_t *)&watch->async, on_closed);
    }
}
