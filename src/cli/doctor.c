#include "cli/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/files.h"
#include "platform/platform.h"
#include "supervisor/lock_name.h"

enum { DEFAULT_LIMIT_MS = 10000 };

/* The hops in their order; those that a failure keeps from being looked at are told as skipped. */
static const char *const session_hops[] = {"definition", "key file",   "agent",    "name",           "connect",
                                           "banner",     "algorithms", "host key", "authentication", "packet size"};
static const char *const remote_hops[] = {"permission", "remote port", "target", "path"};
static const char *const local_hops[] = {"local port", "permission", "target"};

/* ---- waiting ---- */

static void on_late(uv_timer_t *timer)
{
    struct doctor *doctor = timer->data;
    doctor->is_late = true;
}

bool doctor_wait(struct doctor *doctor, const bool *done, uint64_t limit_ms)
{
    doctor->is_late = false;
    uv_update_time(&doctor->loop);
    (void)uv_timer_start(&doctor->timer, on_late, limit_ms, 0);
    while (!*done && !doctor->is_late) {
        (void)uv_run(&doctor->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_stop(&doctor->timer);
    return *done;
}

uint64_t doctor_limit_ms(const struct doctor *doctor)
{
    return doctor->host.connect_timeout_ms != 0 ? doctor->host.connect_timeout_ms : DEFAULT_LIMIT_MS;
}

/* ---- texts ---- */

void doctor_append(char *text, size_t cap_bytes, const char *separator, const char *format, ...)
{
    char more[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(more, sizeof more, format, args);
    va_end(args);
    size_t len = strlen(text);
    (void)snprintf(text + len, cap_bytes - len, "%s%s", len > 0 ? separator : "", more);
}

void doctor_split(const char *message, const char *const *marks, size_t mark_count, const char *otherwise, char *seen,
                  char *mend, size_t cap_bytes)
{
    const char *at = NULL;
    for (size_t i = 0; i < mark_count && at == NULL; i++) {
        at = strstr(message, marks[i]);
    }
    size_t len = at != NULL ? (size_t)(at - message) : strlen(message);
    (void)snprintf(seen, cap_bytes, "%.*s", (int)(len < cap_bytes ? len : cap_bytes - 1), message);
    (void)snprintf(mend, cap_bytes, "%s", at != NULL ? at + strspn(at, "; ") : otherwise);
}

const char *doctor_refusal_text(int uv_status)
{
    switch (uv_status) {
    case UV_ECONNREFUSED: return "connection refused: the machine answers, and nothing listens on that port";
    case UV_ETIMEDOUT: return "no answer: packets vanish on the way, or the machine is off";
    case UV_EHOSTUNREACH: return "no route to host: nobody has that address now, or a firewall refuses";
    case UV_ENETUNREACH: return "network is unreachable: this machine has no route there";
    case UV_ENETDOWN: return "the network of this machine is down";
    case UV_ECONNRESET: return "the connection was reset as soon as it was there";
    case UV_EADDRNOTAVAIL: return "the source address (bind_address) is not one of this machine";
    case UV_EACCES:
    case UV_EPERM: return "this machine's own firewall or rights forbid it";
    default: return err_uv_text(uv_status);
    }
}

/* ---- hops ---- */

bool doctor_has_failed(const struct doctor *doctor)
{
    return doctor_report_failure(doctor->report) != NULL;
}

/* Tells as skipped what follows the last hop of the report in `names`; all of them when it is none of these. */
static void skip_rest(struct doctor *doctor, const char *const *names, size_t count)
{
    size_t next = 0;
    for (size_t i = 0; i < count && doctor->report->count > 0; i++) {
        if (strcmp(names[i], doctor->report->hops[doctor->report->count - 1].name) == 0) {
            next = i + 1;
        }
    }
    for (; next < count; next++) {
        doctor_report_add(doctor->report, DOCTOR_SKIPPED, names[next], NULL, "%s", "");
    }
}

static bool last_has_failed(const struct doctor *doctor)
{
    return doctor->report->count > 0 && doctor->report->hops[doctor->report->count - 1].result == DOCTOR_FAIL;
}

static void skip_all(struct doctor *doctor, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        doctor_report_add(doctor->report, DOCTOR_SKIPPED, names[i], NULL, "%s", "");
    }
}

/* One forward; `reached`: there is a session for it. */
static void walk_forward(struct doctor *doctor, const struct forward_spec *forward, bool reached)
{
    char text[700];
    bool is_remote = forward->type == FORWARD_REMOTE;
    const char *const *names = is_remote ? remote_hops : local_hops;
    size_t count = is_remote ? sizeof remote_hops / sizeof remote_hops[0] : sizeof local_hops / sizeof local_hops[0];
    doctor_report_forward(doctor->report, forward_spec_text(forward, 0, text, sizeof text));
    if (!reached || doctor->is_closed) {
        skip_all(doctor, names, count);
    } else {
        if (is_remote) {
            doctor_remote(doctor, forward);
        } else {
            doctor_local(doctor, forward);
        }
        if (last_has_failed(doctor)) {
            skip_rest(doctor, names, count);
        }
    }
    doctor_report_forward(doctor->report, NULL);
}

/* ---- who keeps it now ---- */

/* Whether a holdfast keeps this tunnel, by its lock. A lock file that is not there is not made. */
static void find_keeper(struct doctor *doctor)
{
    char file[LOCK_NAME_CAP_BYTES];
    struct err_info info;
    struct platform_lock *lock = NULL;
    char *dir = platform_state_dir(&info);
    char *path = dir != NULL ? platform_path_resolve(dir, lock_name(doctor->tunnel->name, file, sizeof file)) : NULL;
    if (path != NULL && file_kind(path, NULL) != FILE_MISSING && platform_lock_take(path, &lock, &info) == ERR_BUSY) {
        const char *who = strstr(info.message, "by ");
        (void)snprintf(doctor->keeper, sizeof doctor->keeper, "%s", who != NULL ? who + 3 : "another process");
    }
    platform_lock_release(lock);
    free(path);
    free(dir);
}

/* ---- networks of this machine ---- */

static void find_networks(struct doctor *doctor)
{
    if (uv_interface_addresses(&doctor->interfaces, &doctor->interface_count) != 0) {
        doctor->interfaces = NULL;
        doctor->interface_count = 0;
    }
    for (int i = 0; i < doctor->interface_count && doctor->network_count < DOCTOR_NETWORKS_MAX; i++) {
        const uv_interface_address_t *one = &doctor->interfaces[i];
        if (one->address.address4.sin_family == AF_INET) {
            doctor->networks[doctor->network_count++] = (struct doctor_network){
                .name = one->name,
                .address = ntohl(one->address.address4.sin_addr.s_addr),
                .mask = ntohl(one->netmask.netmask4.sin_addr.s_addr),
            };
        }
    }
}

enum doctor_situation doctor_situation(const struct doctor *doctor, const char *host)
{
    return doctor_situation_of(host, doctor->networks, doctor->network_count);
}

/* ---- the walk ---- */

/* What is different from a connection of `run`: nothing is written, and passwords are not asked for. */
static enum err prepare_host(struct doctor *doctor)
{
    struct host_spec *host = &doctor->host;
    enum err result = host_spec_copy(host, &doctor->tunnel->host);
    char **files = result != OK ? NULL : calloc(host->known_hosts_files.count + 1, sizeof *files);
    char *none = files == NULL ? NULL : strdup("none"); /* what is pinned goes to the first file */
    if (none == NULL) {
        free(files);
        return ERR_MEMORY;
    }
    files[0] = none;
    for (size_t i = 0; i < host->known_hosts_files.count; i++) {
        files[i + 1] = host->known_hosts_files.items[i];
    }
    free(host->known_hosts_files.items);
    host->known_hosts_files.items = files;
    host->known_hosts_files.count++;
    host->password_authentication = false;
    if (host->strict_host_key_checking == HOST_KEY_ASK) {
        host->strict_host_key_checking = HOST_KEY_YES;
    }
    return OK;
}

static void walk_hops(struct doctor *doctor)
{
    const struct tunnel_spec *tunnel = doctor->tunnel;
    find_keeper(doctor);
    find_networks(doctor);
    doctor_keys(doctor);
    if (!doctor_has_failed(doctor)) {
        doctor_session_begin(doctor);
        if (doctor_connect_judge(doctor)) {
            doctor_handshake_judge(doctor);
        }
    }
    if (!doctor_has_failed(doctor)) {
        doctor_session_packets(doctor);
    }
    bool reached = !doctor_has_failed(doctor);
    if (!reached) {
        skip_rest(doctor, session_hops, sizeof session_hops / sizeof session_hops[0]);
    }
    for (size_t i = 0; i < tunnel->forward_count; i++) {
        walk_forward(doctor, &tunnel->forwards[i], reached);
    }
    doctor_session_end(doctor);
}

static void close_timer(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

bool doctor_walk(const struct tunnel_spec *tunnel, bool may_ask, struct doctor_report *report)
{
    struct doctor *doctor = calloc(1, sizeof *doctor);
    if (doctor == NULL || uv_loop_init(&doctor->loop) != 0) {
        free(doctor);
        return false;
    }
    doctor->tunnel = tunnel;
    doctor->report = report;
    doctor->may_ask = may_ask;
    (void)uv_timer_init(&doctor->loop, &doctor->timer);
    (void)uv_timer_init(&doctor->loop, &doctor->auth_timer);
    doctor->timer.data = doctor->auth_timer.data = doctor;
    enum err result = prepare_host(doctor);
    if (result == OK) {
        walk_hops(doctor);
    }
    close_timer(&doctor->timer);
    close_timer(&doctor->auth_timer);
    (void)uv_run(&doctor->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&doctor->loop);
    if (doctor->interfaces != NULL) {
        uv_free_interface_addresses(doctor->interfaces, doctor->interface_count);
    }
    host_spec_deinit(&doctor->host);
    free(doctor);
    return result == OK && !report->out_of_memory;
}
