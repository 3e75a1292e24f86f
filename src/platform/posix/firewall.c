#include "platform/platform.h"

static enum err unsupported(struct err_info *info)
{
    return err_set(info, ERR_UNSUPPORTED,
                   "not in this version on this system; open the port with the system's own tool, such as "
                   "'ufw allow PORT/tcp' or 'firewall-cmd --add-port=PORT/tcp'");
}

enum err platform_firewall_allow(const char *rule, const uint16_t *ports, size_t port_count, struct err_info *info)
{
    (void)rule;
    (void)ports;
    (void)port_count;
    return unsupported(info);
}

enum err platform_firewall_remove(const char *rule, struct err_info *info)
{
    (void)rule;
    return unsupported(info);
}
