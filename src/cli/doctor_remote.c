/* A -R: whether the peer permits it, whether its port is free, and whether bytes come through it. What a holdfast holds
 * that runs now is looked at, and never asked for. */
#include <string.h>

#include "cli/doctor.h"

enum { ALL_MS = 24 * 3600 * 1000, UNPRIVILEGED_PORT = 1024 };

static const char not_permitted[] =
    "the peer's sshd_config or the key's line in authorized_keys forbids it: AllowTcpForwarding yes (or remote), "
    "DisableForwarding no, PermitListen with this address and port, permitlisten= and port-forwarding behind restrict";

/* ---- asking the peer to listen ---- */

struct listening {
    bool is_answered;
    enum err result;
    uint16_t port;
};

static void on_reply(void *arg, enum err result, uint16_t port)
{
    struct listening *listening = arg;
    listening->is_answered = true;
    listening->result = result;
    listening->port = port;
}

/* Waits for the peer's answer; a session that gives none is of no further use. */
static enum err await(struct doctor *doctor, struct listening *listening)
{
    if (!doctor_wait(doctor, &listening->is_answered, doctor_limit_ms(doctor))) {
        session_stop(doctor->session, 0);
        (void)doctor_wait(doctor, &doctor->is_closed, ALL_MS);
        return ERR_TIMEOUT;
    }
    return listening->result;
}

static enum err ask(struct doctor *doctor, const struct forward_spec *forward, uint16_t port, uint16_t *out_port)
{
    struct listening listening = {.is_answered = false};
    if (forward->listen.kind == ENDPOINT_UNIX) {
        session_listen_unix(doctor->session, forward->listen.path, on_reply, &listening);
    } else {
        session_listen(doctor->session, forward_bind_host(forward), port, on_reply, &listening);
    }
    enum err result = await(doctor, &listening);
    *out_port = port != 0 ? port : listening.port;
    return result;
}

static void give_up(struct doctor *doctor, const struct forward_spec *forward, uint16_t port)
{
    struct listening listening = {.is_answered = false};
    if (doctor->is_closed) {
        return;
    }
    if (forward->listen.kind == ENDPOINT_UNIX) {
        session_unlisten_unix(doctor->session, forward->listen.path, on_reply, &listening);
    } else {
        session_unlisten(doctor->session, forward_bind_host(forward), port, on_reply, &listening);
    }
    (void)await(doctor, &listening);
}

/* ---- it is refused ---- */

static void judge_taken(struct doctor *doctor, uint16_t port, const char *seen)
{
    char mend[DOCTOR_MEND_BYTES];
    bool is_root = strcmp(doctor->host.user, "root") == 0;
    if (port < UNPRIVILEGED_PORT && !is_root) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "remote port", "choose a port from 1024 on",
                          "%u was refused and another port was not: below 1024 only root may listen", (unsigned)port);
        return;
    }
    (void)snprintf(mend, sizeof mend,
                   "if a dead session of ours (or a holdfast of another account) holds it, wait, and set "
                   "ClientAliveInterval 15 and ClientAliveCountMax 3 in "
                   "the peer's sshd_config, so that it does not last; else find who has it (there: ss -ltnp 'sport = "
                   ":%u', or lsof -nP -iTCP:%u), or choose another port",
                   (unsigned)port, (unsigned)port);
    doctor_report_add(doctor->report, DOCTOR_FAIL, "remote port", mend, "%s", seen);
}

/* Port and port 0 were refused: whether something listens there tells more. */
static void judge_refused(struct doctor *doctor, const struct forward_spec *forward, const char *where, uint16_t port)
{
    struct doctor_opened opened = {.result = ERR_REFUSED, .is_prohibited = true};
    char seen[400];
    if (port != 0) {
        doctor_open(doctor, forward_loop_host(forward), port, &opened);
    }
    if (opened.result == OK) {
        doctor_report_add(doctor->report, DOCTOR_WARNING, "permission",
                          "none, if PermitListen (permitlisten=) names this port",
                          "the peer grants no other port than the one it may have been told of (PermitListen)");
        (void)snprintf(seen, sizeof seen, "%s is taken: something listens on it at the peer", where);
        judge_taken(doctor, port, seen);
        return;
    }
    doctor_report_add(doctor->report, DOCTOR_FAIL, "permission", not_permitted, "the peer refuses to listen on %s%s",
                      where,
                      port == 0              ? ""
                      : opened.is_prohibited ? ", and on any other port, and to connect there for us"
                                             : ", and on any other port; nothing listens there now");
}

static void judge_refused_unix(struct doctor *doctor, const char *path)
{
    doctor_report_add(
        doctor->report, DOCTOR_FAIL, "permission",
        "remove the socket that a dead session left there (StreamLocalBindUnlink yes in the peer's "
        "sshd_config does so by itself), see that its folder is there and writable for the user, and that "
        "AllowStreamLocalForwarding is yes",
        "the peer refuses to listen on %s", path);
}

/* The first refusal: taken, or not permitted? */
static void judge_refusal(struct doctor *doctor, const struct forward_spec *forward, const char *where)
{
    uint16_t other = 0;
    char seen[400];
    uint16_t port = forward->listen.port;
    if (forward->listen.kind == ENDPOINT_UNIX) {
        judge_refused_unix(doctor, forward->listen.path);
        return;
    }
    enum err result = port != 0 ? ask(doctor, forward, 0, &other) : ERR_REFUSED;
    if (result == OK) {
        give_up(doctor, forward, other);
        doctor_report_add(doctor->report, DOCTOR_OK, "permission", NULL, "the peer listens for us (on another port)");
        (void)snprintf(seen, sizeof seen, "%s is taken: the peer refused it, and granted another port", where);
        judge_taken(doctor, port, seen);
    } else if (!doctor->is_closed) {
        judge_refused(doctor, forward, where, port);
    } else {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "permission", "see the log of the sshd there", "%s",
                          doctor->why.message);
    }
}

/* ---- it is granted ---- */

/* Whether the definition wants others than the peer itself to connect. */
static bool wants_others(const struct forward_spec *forward)
{
    const char *host = forward_bind_host(forward);
    return forward->listen.kind == ENDPOINT_TCP && strcmp(host, "localhost") != 0 && strcmp(host, "127.0.0.1") != 0 &&
           strcmp(host, "::1") != 0;
}

/* The address of the peer that we are connected to, without its port. */
static void peer_ip(const struct doctor *doctor, char *out, size_t cap_bytes)
{
    struct session_facts facts;
    session_get_facts(doctor->session, &facts);
    const char *from = facts.address[0] == '[' ? facts.address + 1 : facts.address;
    const char *end = facts.address[0] == '[' ? strchr(from, ']') : strrchr(from, ':');
    size_t len = end != NULL ? (size_t)(end - from) : strlen(from);
    (void)snprintf(out, cap_bytes, "%.*s", (int)(len < cap_bytes ? len : cap_bytes - 1), from);
}

/* sshd binds its loopback, and says nothing, when GatewayPorts does not let it do more. */
static void judge_bound(struct doctor *doctor, const struct forward_spec *forward, const char *where, uint16_t port)
{
    char tried[400];
    char ip[80];
    const char *host = forward_bind_host(forward);
    peer_ip(doctor, ip, sizeof ip);
    if (!wants_others(forward)) {
        doctor_report_add(doctor->report, DOCTOR_OK, "permission", NULL, "the peer listens on %s for us", where);
        return;
    }
    if (host[0] != '\0' && strcmp(host, "0.0.0.0") != 0 && strcmp(host, "::") != 0) {
        (void)snprintf(ip, sizeof ip, "%s", host);
    }
    if (strcmp(ip, "127.0.0.1") == 0 || strcmp(ip, "::1") == 0) {
        doctor_report_add(
            doctor->report, DOCTOR_OK, "permission", NULL,
            "the peer listens for us; whether on %s or on its loopback alone is not to be seen from here, "
            "since we reached it by its loopback",
            where);
        return;
    }
    int status = doctor_target_dial(doctor, ip, port, NULL, tried, sizeof tried);
    if (status == 0) {
        doctor_report_add(doctor->report, DOCTOR_OK, "permission", NULL,
                          "the peer listens on %s for us, and %s port %u was reached from here", where, ip,
                          (unsigned)port);
    } else if (status == UV_ECONNREFUSED) {
        doctor_report_add(doctor->report, DOCTOR_WARNING, "permission",
                          "set GatewayPorts clientspecified in the peer's sshd_config; or leave the address away, if "
                          "connections from the peer itself are all that is wanted",
                          "the peer listens for us, but on its loopback alone and not on %s: from here, %s", where,
                          tried);
    } else {
        doctor_report_add(doctor->report, DOCTOR_WARNING, "permission",
                          "let the port in at the peer's firewall, if others are to reach it",
                          "the peer listens for us, but the port is not reached from here: %s", tried);
    }
}

/* Bytes through the peer's port. Of localhost its IPv4 address counts first: where something else has that one, sshd is
 * content with the other, and clients reach the wrong server. */
static bool pass_loop(struct doctor *doctor, const struct forward_spec *forward, uint16_t port,
                      struct doctor_opened *opened)
{
    const char *host = forward_loop_host(forward);
    if (strcmp(host, "localhost") == 0) {
        bool passed = doctor_open_loop(doctor, "127.0.0.1", port, opened);
        if (passed || opened->result == OK) {
            return passed;
        }
    }
    return doctor_open_loop(doctor, host, port, opened);
}

static void judge_path(struct doctor *doctor, const struct forward_spec *forward, uint16_t port)
{
    struct doctor_opened opened;
    bool passed = pass_loop(doctor, forward, port, &opened);
    if (passed) {
        doctor_report_add(doctor->report, DOCTOR_OK, "path", NULL,
                          "bytes went through the peer's port %u to this machine and back; from here to the target the "
                          "hop before this one tells what is proven",
                          (unsigned)port);
    } else if (opened.result == OK) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "path",
                          "another program at the peer takes the connections of this port, on one of its addresses: "
                          "find it there (ss -ltnp, lsof -nP -iTCP), or choose another port",
                          "a connection to the peer's port %u was taken there, and did not come to this machine",
                          (unsigned)port);
    } else if (opened.is_prohibited) {
        doctor_report_add(doctor->report, DOCTOR_OK, "path", NULL,
                          "not proven by bytes: the peer does not connect to its own port for us, which a key of least "
                          "rights has no need of; each hop alone is");
    } else {
        doctor_report_add(
            doctor->report, DOCTOR_WARNING, "path",
            "see whether the peer's loopback has a firewall, and which address the name localhost has there",
            "the peer cannot connect to its own port %u: %s", (unsigned)port, opened.why.message);
    }
}

static void walk_granted(struct doctor *doctor, const struct forward_spec *forward, const char *where, uint16_t port)
{
    bool is_unix = forward->listen.kind == ENDPOINT_UNIX;
    judge_bound(doctor, forward, where, port);
    if (is_unix) {
        doctor_report_add(doctor->report, DOCTOR_OK, "remote port", NULL, "%s was free", where);
    } else if (forward->listen.port == 0) {
        doctor_report_add(doctor->report, DOCTOR_OK, "remote port", NULL, "the peer chose %u this time",
                          (unsigned)port);
    } else {
        doctor_report_add(doctor->report, DOCTOR_OK, "remote port", NULL, "%u was free", (unsigned)port);
    }
    size_t before = doctor->report->count;
    doctor_target(doctor, forward);
    bool failed = doctor->report->count > before && doctor->report->hops[before].result == DOCTOR_FAIL;
    if (!failed && is_unix) {
        doctor_report_add(doctor->report, DOCTOR_OK, "path", NULL, "not looked at through a socket's path");
    } else if (!failed && !doctor->is_closed) {
        judge_path(doctor, forward, port);
    }
    give_up(doctor, forward, port);
}

/* ---- a holdfast keeps it now ---- */

static void walk_kept(struct doctor *doctor, const struct forward_spec *forward)
{
    struct doctor_opened opened;
    char who[80];
    uint16_t port = forward->listen.port;
    const char *keeper = doctor->keeper;
    doctor_report_add(doctor->report, DOCTOR_OK, "permission", NULL, "not asked for: %s keeps this tunnel now", keeper);
    if (forward->listen.kind == ENDPOINT_UNIX || port == 0) {
        doctor_report_add(doctor->report, DOCTOR_OK, "remote port", NULL, "not looked at: it is %s's", keeper);
        doctor_target(doctor, forward);
        return;
    }
    doctor_open(doctor, forward_loop_host(forward), port, &opened);
    if (opened.is_prohibited) {
        doctor_report_add(doctor->report, DOCTOR_OK, "remote port", NULL,
                          "%s should hold it; the peer does not connect there for us, so that is not seen", keeper);
    } else if (opened.result == OK) {
        doctor_report_add(doctor->report, DOCTOR_OK, "remote port", NULL, "%u is held, as it should be, by %s",
                          (unsigned)port, keeper);
    } else {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "remote port",
                          "see its log or 'holdfast status' for why this forward is not up",
                          "%s keeps this tunnel, but nothing takes connections on %u at the peer: %s", keeper,
                          (unsigned)port, opened.why.message);
        return;
    }
    size_t before = doctor->report->count;
    doctor_target(doctor, forward);
    if (opened.result == OK && doctor->report->hops[before].result != DOCTOR_FAIL) {
        (void)snprintf(who, sizeof who, "the peer's port %u", (unsigned)port);
        doctor_look_judge(doctor, "path", who, DOCTOR_PLAIN, &opened.look);
    }
}

void doctor_remote(struct doctor *doctor, const struct forward_spec *forward)
{
    char where[320];
    uint16_t port = 0;
    if (doctor->keeper[0] != '\0') {
        walk_kept(doctor, forward);
        return;
    }
    (void)forward_listen_text(forward, 0, where, sizeof where);
    enum err result = ask(doctor, forward, forward->listen.port, &port);
    if (result == OK) {
        walk_granted(doctor, forward, where, port);
    } else if (result == ERR_REFUSED) {
        judge_refusal(doctor, forward, where);
    } else {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "permission", "see whether the sshd there hangs, and its log",
                          "the peer did not say within %.3g s whether it listens on %s",
                          (double)doctor_limit_ms(doctor) / 1000.0, where);
    }
}
