/* A -L: whether its port is free here, and whether the peer permits the target and reaches it. */
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "config/files.h"
#include "platform/platform.h"

enum { ALL_MS = 24 * 3600 * 1000 };

/* ---- here ---- */

static void on_never(uv_stream_t *stream, int status)
{
    (void)stream;
    (void)status;
}

static void on_closed(uv_handle_t *handle)
{
    bool *is_closed = handle->data;
    *is_closed = true;
}

/* The address that the listener binds; names are looked up. 0 or libuv's status. */
static int listen_address(struct doctor *doctor, const struct forward_spec *forward, struct sockaddr_storage *out)
{
    const char *host = forward->listen.host;
    uint16_t port = forward->listen.port;
    if (host == NULL) {
        host = forward->gateway_ports ? "0.0.0.0" : "127.0.0.1";
    } else if (host[0] == '\0' || strcmp(host, "*") == 0) {
        host = "0.0.0.0";
    }
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0 ||
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)out) == 0) {
        return 0;
    }
    uv_getaddrinfo_t req;
    char service[8];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    int status = uv_getaddrinfo(&doctor->loop, &req, NULL, host, service, &hints);
    if (status == 0) {
        memcpy(out, req.addrinfo->ai_addr, req.addrinfo->ai_addrlen);
        uv_freeaddrinfo(req.addrinfo);
    }
    return status;
}

/* Binds and lets go. */
static int try_listening(struct doctor *doctor, const struct forward_spec *forward)
{
    struct sockaddr_storage address;
    uv_tcp_t tcp;
    bool is_closed = false;
    int status = listen_address(doctor, forward, &address);
    if (status != 0 || (status = uv_tcp_init(&doctor->loop, &tcp)) != 0) {
        return status;
    }
    tcp.data = &is_closed;
    status = platform_tcp_bind(&tcp, (const struct sockaddr *)&address, 0);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)&tcp, 1, on_never);
    }
    uv_close((uv_handle_t *)&tcp, on_closed);
    (void)doctor_wait(doctor, &is_closed, ALL_MS);
    return status;
}

static const char *listen_mend(int status)
{
    switch (status) {
    case UV_EADDRINUSE:
        return "end the program that has it (ss -ltnp, lsof -nP -iTCP, netstat -abno), or choose another port";
    case UV_EACCES: return "choose a port from 1024 on, or give the program the right to bind low ones";
    case UV_EADDRNOTAVAIL: return "name an address of this machine, or leave it away for the loopback";
    default: return "correct the address or the name before the port";
    }
}

static bool judge_port(struct doctor *doctor, const struct forward_spec *forward)
{
    char where[320];
    (void)forward_listen_text(forward, 0, where, sizeof where);
    if (doctor->keeper[0] != '\0') {
        doctor_report_add(doctor->report, DOCTOR_OK, "local port", NULL, "not looked at: %s keeps this tunnel now",
                          doctor->keeper);
        return true;
    }
    if (forward->listen.kind == ENDPOINT_UNIX) {
        bool is_there = file_kind(forward->listen.path, NULL) != FILE_MISSING;
        bool bad = is_there && !forward->stream_local_bind_unlink;
        doctor_report_add(doctor->report, bad ? DOCTOR_FAIL : DOCTOR_OK, "local port",
                          bad ? "remove it if nobody listens on it, or set stream_local_bind_unlink: yes" : NULL,
                          "%s %s", where,
                          !is_there ? "is free"
                          : bad     ? "exists already"
                                    : "exists, and will be replaced");
        return !bad;
    }
    int status = try_listening(doctor, forward);
    if (status != 0) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "local port", listen_mend(status),
                          "%s cannot be listened on: %s", where, err_uv_text(status));
        return false;
    }
    doctor_report_add(doctor->report, DOCTOR_OK, "local port", NULL, "%s is free", where);
    return true;
}

/* ---- there ---- */

static const char *target_mend(const char *message)
{
    if (strstr(message, "refused") != NULL) {
        return "start the server there, and see that it listens on that address and not on another one alone";
    }
    if (strstr(message, "resolv") != NULL || strstr(message, "not known") != NULL ||
        strstr(message, "ame or ") != NULL) {
        return "correct the name in to:, which the peer looks up, or write the address";
    }
    return "see from the peer that the target is on and reached (there: nc -vz HOST PORT)";
}

static void judge_opened(struct doctor *doctor, const char *who, const struct doctor_opened *opened)
{
    if (opened->is_prohibited) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "permission",
                          "the peer's sshd_config or the key's line in authorized_keys forbids it: AllowTcpForwarding "
                          "yes (or local), "
                          "DisableForwarding no, PermitOpen with this host and port letter by letter, permitopen= and "
                          "port-forwarding "
                          "behind restrict",
                          "the peer does not connect to %s for us: %s", who, opened->why.message);
        return;
    }
    if (doctor->is_closed) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "permission", "see the log of the sshd there", "%s",
                          doctor->why.message);
        return;
    }
    doctor_report_add(doctor->report, DOCTOR_OK, "permission", NULL, "the peer connects for us");
    if (opened->result != OK) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "target", target_mend(opened->why.message),
                          "from the peer, %s: %s", who, opened->why.message);
    } else {
        doctor_look_judge(doctor, "target", who, DOCTOR_PLAIN, &opened->look);
    }
}

void doctor_local(struct doctor *doctor, const struct forward_spec *forward)
{
    char who[700];
    struct answer answer;
    struct doctor_opened opened;
    const struct endpoint *to = &forward->to;
    if (!judge_port(doctor, forward) || to->kind == ENDPOINT_NONE) {
        return;
    }
    (void)endpoint_text(to, who, sizeof who);
    if (to->kind == ENDPOINT_UNIX) {
        doctor_open_unix(doctor, to->path, &opened);
    } else if (!endpoint_moves(to)) {
        doctor_open(doctor, to->host, to->port, &opened);
    } else if (doctor_target_ask(doctor, to, &answer)) {
        doctor_append(who, sizeof who, " ", "(now %s:%u)", answer.host, (unsigned)answer.port);
        doctor_open(doctor, answer.host, answer.port, &opened);
    } else {
        return;
    }
    judge_opened(doctor, who, &opened);
}
