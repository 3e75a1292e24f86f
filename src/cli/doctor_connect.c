/* The hops to the peer's port: its name, and the TCP connection. */
#include <string.h>

#include "cli/doctor.h"
#include "session/dial.h"
#include "session/mdns_wire.h"

/* "192.0.2.1" of an address, without its port. */
static const char *ip_text(const struct sockaddr *address, char *out, size_t cap_bytes)
{
    out[0] = '\0';
    if (address->sa_family == AF_INET6) {
        (void)uv_ip6_name((const struct sockaddr_in6 *)(const void *)address, out, cap_bytes);
    } else {
        (void)uv_ip4_name((const struct sockaddr_in *)(const void *)address, out, cap_bytes);
    }
    return out;
}

static void on_addresses(void *arg, const char *host, const struct sockaddr_storage *addresses, size_t count,
                         bool by_multicast)
{
    struct doctor *doctor = arg;
    struct doctor_dialed *dialed = &doctor->dialed;
    char ip[INET6_ADDRSTRLEN];
    char list[400] = "";
    for (size_t i = 0; i < count; i++) {
        doctor_append(list, sizeof list, ", ", "%s", ip_text((const struct sockaddr *)&addresses[i], ip, sizeof ip));
    }
    dialed->address_count += count;
    if (strcmp(list, host) == 0) {
        doctor_append(dialed->addresses, sizeof dialed->addresses, "; ", "%s (an address, no name)", host);
    } else {
        doctor_append(dialed->addresses, sizeof dialed->addresses, "; ", "%s: %s%s", host, list,
                      by_multicast ? " (by multicast DNS)" : "");
    }
}

static void on_no_connection(void *arg, const char *host, const struct sockaddr *address, int status)
{
    struct doctor *doctor = arg;
    struct doctor_dialed *dialed = &doctor->dialed;
    char text[80];
    if (address == NULL) {
        dialed->name_status = status;
        doctor_append(dialed->unresolved, sizeof dialed->unresolved, "; ", "%s: %s", host,
                      status == UV_ETIMEDOUT ? "nobody told an address in time" : err_uv_text(status));
        return;
    }
    dialed->address_status = status;
    (void)ip_text(address, dialed->last_address, sizeof dialed->last_address);
    doctor_append(dialed->refusals, sizeof dialed->refusals, "; ", "%s: %s",
                  dial_address_text(address, text, sizeof text), doctor_refusal_text(status));
}

void doctor_connect_observe(struct doctor *doctor)
{
    doctor->inspect.on_addresses = on_addresses;
    doctor->inspect.on_no_connection = on_no_connection;
    doctor->inspect.arg = doctor;
}

static const char *name_mend(const struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->host.hostnames.count; i++) {
        if (mdns_is_local(doctor->host.hostnames.items[i])) {
            return "see that the machine is on, in the same local network, and announces its name (Bonjour, avahi); or "
                   "write its address as hostname";
        }
    }
    switch (doctor->dialed.name_status) {
    case UV_EAI_AGAIN:
    case UV_ETIMEDOUT:
        return "see that there is a network and that its name server answers, or write the address as hostname";
    default: return "correct the spelling of hostname, or write the address";
    }
}

static const char *connect_mend(const struct doctor *doctor, char *out, size_t cap_bytes)
{
    const char *more = doctor_situation_mend(doctor_situation(doctor, doctor->dialed.last_address));
    unsigned port = doctor->host.port;
    switch (doctor->dialed.address_status) {
    case UV_ECONNREFUSED:
        (void)snprintf(out, cap_bytes,
                       "start the sshd there (Linux: systemctl start ssh; macOS: Sharing, Remote Login; Windows: the "
                       "OpenSSH Server feature), or set port: to where it listens instead of %u",
                       port);
        break;
    case UV_ETIMEDOUT:
        (void)snprintf(
            out, cap_bytes,
            "see that the machine is on and awake, that the address is still its own, and that each firewall "
            "on the way lets TCP port %u through",
            port);
        break;
    case UV_EHOSTUNREACH:
        (void)snprintf(out, cap_bytes,
                       "see that the machine is on and has this address now, and that no firewall rejects TCP port %u",
                       port);
        break;
    case UV_ENETUNREACH:
    case UV_ENETDOWN:
        (void)snprintf(out, cap_bytes,
                       "connect this machine to the network, or add the route (or VPN) that leads there");
        break;
    case UV_EADDRNOTAVAIL: (void)snprintf(out, cap_bytes, "correct or remove bind_address"); break;
    default:
        (void)snprintf(out, cap_bytes, "see that port %u there is a sshd's, and what lies on the way", port);
        break;
    }
    if (more != NULL) {
        doctor_append(out, cap_bytes, "; ", "%s", more);
    }
    return out;
}

bool doctor_connect_judge(struct doctor *doctor)
{
    const struct doctor_dialed *dialed = &doctor->dialed;
    struct session_facts facts = {.address = ""};
    char mend[DOCTOR_MEND_BYTES];
    if (dialed->address_count == 0) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "name", name_mend(doctor), "%s",
                          dialed->unresolved[0] != '\0' ? dialed->unresolved : doctor->why.message);
        return false;
    }
    bool part = dialed->unresolved[0] != '\0';
    doctor_report_add(doctor->report, part ? DOCTOR_WARNING : DOCTOR_OK, "name", part ? name_mend(doctor) : NULL,
                      "%s%s%s", dialed->addresses, part ? "; no address: " : "", dialed->unresolved);
    if (doctor->phase < SESSION_HANDSHAKING) {
        const char *where = doctor_situation_text(doctor_situation(doctor, dialed->last_address));
        doctor_report_add(doctor->report, DOCTOR_FAIL, "connect", connect_mend(doctor, mend, sizeof mend), "%s%s%s",
                          dialed->refusals[0] != '\0' ? dialed->refusals : doctor->why.message,
                          where[0] != '\0' ? "; it is in " : "", where);
        return false;
    }
    session_get_facts(doctor->session, &facts);
    if (dialed->refusals[0] == '\0') {
        doctor_report_add(doctor->report, DOCTOR_OK, "connect", NULL, "%s takes connections", facts.address);
    } else {
        doctor_report_add(doctor->report, DOCTOR_WARNING, "connect",
                          "take the addresses that do not answer out of hostname or the name server, or mend them",
                          "%s takes connections; before it: %s", facts.address, dialed->refusals);
    }
    return true;
}
