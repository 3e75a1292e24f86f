#include "tunnel/reclaim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/log.h"
#include "session/exec.h"
#include "tunnel/reclaim_record.h"
#include "tunnel/reclaim_reply.h"
#include "tunnel/reclaim_script.h"

enum {
    OUTPUT_CAP_BYTES = 64 * 1024, /* what login shells print before is in it */
    REPORT_LIMIT_MS = 15000,
    END_LIMIT_MS = 60000, /* eight processes that need the harder signal, and a slow peer */
    ASK_AGAIN_MS = 10000, /* between two looks at a port that stays taken */
    QUICK_FIRST_MS = 250,
    QUICK_LAST_MS = 2000,
    QUICK_FOR_MS = 30000
};

#define MEND                                                                                                           \
    "add these two lines to the peer's sshd_config, so that it ends dead sessions itself: 'ClientAliveInterval 15' "   \
    "and 'ClientAliveCountMax 3'"

/* A port that this session asked for. */
struct asked_port {
    uint16_t port;
    uint64_t busy_since_ms; /* 0: not refused */
    uint64_t refused_at_ms, looked_at_ms;
    bool refused_though_free; /* so that it is not its being taken */
    enum reclaim_port_state state;
    bool has_user;
    uint32_t user;
};

enum permission { PERMISSION_UNKNOWN = 0, PERMISSION_YES, PERMISSION_NO };

struct reclaim {
    struct reclaim_options options;
    char *tunnel, *record_path;
    struct reclaim_record record;
    struct session *session; /* NULL: none */
    char since[RECLAIM_SINCE_CAP_BYTES];
    struct session_exec *exec; /* runs now; at most one does */
    bool exec_ends;            /* it is asked to end processes */
    bool end_due;              /* another is to follow that does */
    bool end_failed;           /* one did not get its way with a process that is proven ours */
    enum permission permission;
    bool told_no_commands;
    bool has_current;
    struct reclaim_process current; /* who serves this session */
    bool has_user;
    uint32_t user;                         /* who we are at the peer */
    uint64_t asked_at_ms, end_asked_at_ms; /* 0: not yet over this session */
    struct asked_port ports[RECLAIM_PORTS_MAX];
    size_t port_count;
};

static void ask(struct reclaim *reclaim, bool end);

static uint64_t now_ms(const struct reclaim *reclaim)
{
    return uv_now(reclaim->options.loop) + 1; /* 0 stands for never */
}

static struct asked_port *find(struct reclaim *reclaim, uint16_t port)
{
    for (size_t i = 0; i < reclaim->port_count; i++) {
        if (reclaim->ports[i].port == port) {
            return &reclaim->ports[i];
        }
    }
    return NULL;
}

static const struct asked_port *find_const(const struct reclaim *reclaim, uint16_t port)
{
    for (size_t i = 0; i < reclaim->port_count; i++) {
        if (reclaim->ports[i].port == port) {
            return &reclaim->ports[i];
        }
    }
    return NULL;
}

static bool is_current(const struct reclaim *reclaim, const struct reclaim_process *process)
{
    return reclaim->has_current && reclaim_process_equal(process, &reclaim->current);
}

/* The newest process of an earlier session, or NULL. */
static const struct reclaim_entry *earlier(const struct reclaim *reclaim)
{
    for (size_t i = 0; i < reclaim->record.entry_count; i++) {
        if (!is_current(reclaim, &reclaim->record.entries[i].process)) {
            return &reclaim->record.entries[i];
        }
    }
    return NULL;
}

static void save(struct reclaim *reclaim)
{
    struct err_info why;
    bool keeps = reclaim->record_path != NULL && reclaim->options.enabled;
    if (keeps && reclaim_record_save(&reclaim->record, reclaim->record_path, &why) != OK) {
        log_warning(reclaim->tunnel, "which process serves us at the peer is not remembered: %s", why.message);
    }
}

/* ---- asking the peer ---- */

static void write_ports(const struct reclaim *reclaim, char *out, size_t cap_bytes)
{
    size_t len = 0;
    for (size_t i = 0; i < reclaim->port_count && len + sizeof ",65535" < cap_bytes; i++) {
        len += (size_t)snprintf(out + len, cap_bytes - len, "%s%u", i > 0 ? "," : "", (unsigned)reclaim->ports[i].port);
    }
    if (len == 0) {
        (void)snprintf(out, cap_bytes, "-");
    }
}

/* The request to end the processes of earlier sessions that were served under the boot of the newest; false: none. */
static bool write_end(const struct reclaim *reclaim, const char *ports, char *out, size_t cap_bytes)
{
    const struct reclaim_entry *newest = earlier(reclaim);
    if (newest == NULL) {
        return false;
    }
    size_t len = (size_t)snprintf(out, cap_bytes, "1 end %s %s", ports, newest->boot);
    for (size_t i = 0; i < reclaim->record.entry_count && len < cap_bytes; i++) {
        const struct reclaim_entry *entry = &reclaim->record.entries[i];
        if (!is_current(reclaim, &entry->process) && strcmp(entry->boot, newest->boot) == 0) {
            len += (size_t)snprintf(out + len, cap_bytes - len, " %" PRIu32 " %s", entry->process.pid,
                                    entry->process.start);
        }
    }
    return len < cap_bytes;
}

static void log_no_commands(struct reclaim *reclaim, const char *why)
{
    reclaim->permission = PERMISSION_NO;
    if (!reclaim->told_no_commands) {
        reclaim->told_no_commands = true;
        log_info(
            reclaim->tunnel,
            "the peer does not tell which process serves us (%s), so a port that a dead session still holds cannot "
            "be freed from here; " MEND,
            why);
    }
}

/* Remembers who serves this session. */
static void take_serving(struct reclaim *reclaim, const struct reclaim_reply *reply)
{
    struct reclaim_entry entry = {.process = reply->serving, .user = reply->user};
    if (!reply->has_serving || reply->boot[0] == 0) {
        log_debug(reclaim->tunnel, "the peer does not know which sshd serves us");
        return;
    }
    reclaim->has_current = true;
    reclaim->current = reply->serving;
    if (!reply->serving_is_ours) {
        log_debug(reclaim->tunnel, "the sshd that serves us (process %" PRIu32 ") is not our user's",
                  entry.process.pid);
        return;
    }
    memcpy(entry.boot, reply->boot, sizeof entry.boot);
    memcpy(entry.since, reclaim->since, sizeof entry.since);
    if (reclaim_record_add(&reclaim->record, &entry)) {
        log_debug(reclaim->tunnel, "served by process %" PRIu32 " of the peer", entry.process.pid);
        save(reclaim);
    }
}

static void take_ports(struct reclaim *reclaim, const struct reclaim_reply *reply)
{
    for (size_t i = 0; i < reply->port_count; i++) {
        struct asked_port *port = find(reclaim, reply->ports[i].port);
        if (port != NULL) {
            port->looked_at_ms = now_ms(reclaim);
            port->state = reply->ports[i].state;
            port->refused_though_free = port->refused_though_free && port->state != RECLAIM_PORT_TAKEN;
            port->has_user = reply->ports[i].has_user;
            port->user = reply->ports[i].user;
        }
    }
}

/* The process of a reply to "end", which names it by its pid. */
static const struct reclaim_entry *earlier_by_pid(const struct reclaim *reclaim, uint32_t pid)
{
    for (size_t i = 0; i < reclaim->record.entry_count; i++) {
        const struct reclaim_entry *entry = &reclaim->record.entries[i];
        if (entry->process.pid == pid && !is_current(reclaim, &entry->process)) {
            return entry;
        }
    }
    return NULL;
}

/* True when the end of a process may have freed a port. */
static bool take_end(struct reclaim *reclaim, uint32_t pid, const char *word)
{
    const struct reclaim_entry *entry = earlier_by_pid(reclaim, pid);
    if (entry == NULL || strcmp(word, "serving") == 0) {
        return false;
    }
    if (strcmp(word, "failed") == 0) {
        log_warning(reclaim->tunnel, "process %" PRIu32 " of the peer, our own session since %s, could not be ended",
                    pid, entry->since);
        reclaim->end_failed = true;
        return false;
    }
    bool ended = strcmp(word, "ended") == 0 || strcmp(word, "killed") == 0;
    if (ended) {
        log_warning(reclaim->tunnel, "%s process %" PRIu32 " of the peer: the sshd of our own dead session since %s",
                    word, pid, entry->since);
    } else {
        log_info(reclaim->tunnel,
                 "process %" PRIu32 " of the peer, our own session since %s, is not there any more (%s)", pid,
                 entry->since, word);
    }
    const struct reclaim_process process = entry->process;
    (void)reclaim_record_drop(&reclaim->record, &process);
    return ended || strcmp(word, "gone") == 0;
}

static bool take_ends(struct reclaim *reclaim, const struct reclaim_reply *reply)
{
    bool freed = false;
    for (size_t i = 0; i < reply->end_count; i++) {
        freed = take_end(reclaim, reply->ends[i].pid, reply->ends[i].word) || freed;
    }
    if (reply->end_count > 0) {
        save(reclaim);
    }
    return freed;
}

/* A port that was taken when it was refused, and is free now. */
static bool some_port_got_free(const struct reclaim *reclaim)
{
    for (size_t i = 0; i < reclaim->port_count; i++) {
        const struct asked_port *port = &reclaim->ports[i];
        if (port->busy_since_ms != 0 && !port->refused_though_free && port->state == RECLAIM_PORT_FREE &&
            port->looked_at_ms > port->refused_at_ms) {
            return true;
        }
    }
    return false;
}

static void on_answer(void *arg, const struct exec_result *result)
{
    struct reclaim *reclaim = arg;
    struct reclaim_reply *reply = malloc(sizeof *reply);
    bool freed = false;
    reclaim->exec = NULL;
    reclaim->exec_ends = false;
    if (result->code == ERR_CLOSED || result->code == ERR_CANCELLED || reply == NULL) {
        free(reply);
        return; /* with the session */
    }
    if (result->code != OK) {
        if (result->code == ERR_REFUSED) {
            log_no_commands(reclaim, result->why->message);
        } else {
            log_info(reclaim->tunnel, "asking the peer about our own sessions: %s", result->why->message);
        }
        reclaim->end_due = false;
    } else if (!reclaim_reply_parse(result->output, result->output_len, reply)) {
        log_no_commands(reclaim, "it runs another command for us, or none");
        reclaim->end_due = false;
    } else {
        reclaim->permission = PERMISSION_YES;
        reclaim->has_user = reply->has_user;
        reclaim->user = reply->user;
        take_serving(reclaim, reply);
        take_ports(reclaim, reply);
        freed = take_ends(reclaim, reply);
    }
    free(reply);
    bool more = reclaim->end_due && earlier(reclaim) != NULL;
    reclaim->end_due = false;
    if (more) {
        ask(reclaim, true);
    }
    reclaim->options.on_news(reclaim->options.arg, freed || some_port_got_free(reclaim));
}

static void ask(struct reclaim *reclaim, bool end)
{
    char ports[RECLAIM_PORTS_MAX * 6 + 8];
    char request[sizeof ports + 64 + (size_t)RECLAIM_PROCESSES_MAX * (RECLAIM_WORD_CAP_BYTES + 12) +
                 RECLAIM_WORD_CAP_BYTES];
    char command[RECLAIM_COMMAND_CAP_BYTES];
    write_ports(reclaim, ports, sizeof ports);
    reclaim->asked_at_ms = now_ms(reclaim);
    if (end && !write_end(reclaim, ports, request, sizeof request)) {
        return;
    }
    if (end) {
        reclaim->end_asked_at_ms = reclaim->asked_at_ms;
    } else {
        (void)snprintf(request, sizeof request, "1 report %s", ports);
    }
    if (reclaim_script_command(request, command, sizeof command) == NULL) {
        return;
    }
    reclaim->exec = session_exec_start(reclaim->session, command, OUTPUT_CAP_BYTES,
                                       end ? END_LIMIT_MS : REPORT_LIMIT_MS, on_answer, reclaim);
    reclaim->exec_ends = end && reclaim->exec != NULL;
}

/* ---- what the tunnel tells ---- */

void reclaim_session_up(struct reclaim *reclaim, struct session *session, const uint16_t *ports, size_t port_count)
{
    reclaim->session = session;
    reclaim->has_current = reclaim->end_due = reclaim->end_failed = false;
    reclaim->permission = PERMISSION_UNKNOWN;
    reclaim->asked_at_ms = reclaim->end_asked_at_ms = 0;
    reclaim->port_count = 0;
    memset(reclaim->ports, 0, sizeof reclaim->ports);
    for (size_t i = 0; i < port_count && reclaim->port_count < RECLAIM_PORTS_MAX; i++) {
        if (find(reclaim, ports[i]) == NULL) {
            reclaim->ports[reclaim->port_count++].port = ports[i];
        }
    }
    if (reclaim->options.enabled && port_count > 0) {
        (void)time_text_now(reclaim->since, sizeof reclaim->since);
        ask(reclaim, false);
    }
}

void reclaim_session_down(struct reclaim *reclaim)
{
    reclaim->session = NULL;
    reclaim->exec = NULL;
    reclaim->exec_ends = reclaim->end_due = reclaim->has_current = false;
}

void reclaim_bound(struct reclaim *reclaim, uint16_t port)
{
    struct asked_port *asked = find(reclaim, port);
    if (asked != NULL) {
        asked->busy_since_ms = 0;
    }
    if (reclaim_record_add_port(&reclaim->record, port)) {
        save(reclaim);
    }
}

void reclaim_refused(struct reclaim *reclaim, uint16_t port)
{
    uint64_t now = now_ms(reclaim);
    struct asked_port *asked = find(reclaim, port);
    if (asked == NULL) { /* it was added while the session lived */
        if (reclaim->port_count == RECLAIM_PORTS_MAX) {
            return;
        }
        asked = &reclaim->ports[reclaim->port_count++];
        asked->port = port;
    }
    asked->refused_at_ms = now;
    asked->refused_though_free =
        asked->refused_though_free || (asked->state == RECLAIM_PORT_FREE && now > asked->looked_at_ms);
    asked->busy_since_ms = asked->busy_since_ms != 0 ? asked->busy_since_ms : now;
    if (!reclaim->options.enabled || reclaim->session == NULL || reclaim->permission == PERMISSION_NO) {
        return;
    }
    bool may_end = reclaim_record_has_port(&reclaim->record, port) && earlier(reclaim) != NULL &&
                   (reclaim->end_asked_at_ms == 0 || now - reclaim->end_asked_at_ms >= ASK_AGAIN_MS);
    bool asked_lately = reclaim->asked_at_ms != 0 && now - reclaim->asked_at_ms < ASK_AGAIN_MS;
    if (reclaim->exec != NULL) {
        reclaim->end_due = reclaim->end_due || (may_end && !reclaim->exec_ends);
    } else if (may_end) {
        ask(reclaim, true);
    } else if (!asked_lately) {
        ask(reclaim, false);
    }
}

/* ---- what it makes of it ---- */

static void say_who(const struct reclaim *reclaim, const struct asked_port *asked, char *out, size_t cap_bytes)
{
    const struct reclaim_entry *ours = reclaim_record_has_port(&reclaim->record, asked->port) ? earlier(reclaim) : NULL;
    if (ours != NULL && (reclaim_is_working(reclaim) || reclaim->end_failed)) {
        (void)snprintf(out, cap_bytes,
                       "probably by our own dead session since %s, whose sshd there (process %" PRIu32 ") %s",
                       ours->since, ours->process.pid,
                       reclaim->end_failed ? "could not be ended; end it there" : "is looked for, to end it");
    } else if (asked->state == RECLAIM_PORT_TAKEN && asked->has_user && reclaim->has_user &&
               asked->user != reclaim->user) {
        (void)snprintf(out, cap_bytes,
                       "by a program of another user there (uid %" PRIu32 "); end it there, or choose another port",
                       asked->user);
    } else if (asked->state == RECLAIM_PORT_TAKEN && reclaim->permission == PERMISSION_YES) {
        (void)snprintf(
            out, cap_bytes,
            "by another program there, or by a session of ours that cannot be proven to be it; end it there, "
            "or " MEND);
    } else if (!reclaim->options.enabled) {
        (void)snprintf(out, cap_bytes,
                       "probably by our own dead session, which %s leaves alone; end its sshd there, or " MEND,
                       reclaim->options.one_line ? "a one-line tunnel" : "'reclaim: no'");
    } else if (reclaim->permission == PERMISSION_NO) {
        (void)snprintf(out, cap_bytes, "probably by our own dead session; the peer runs no command for us, so " MEND);
    } else {
        (void)snprintf(out, cap_bytes, "probably by our own dead session");
    }
}

bool reclaim_judge(const struct reclaim *reclaim, uint16_t port, struct err_info *why)
{
    char who[400];
    const struct asked_port *asked = find_const(reclaim, port);
    if (asked == NULL || asked->busy_since_ms == 0) {
        return false;
    }
    bool was_ours = reclaim_record_has_port(&reclaim->record, port);
    if (asked->refused_though_free || (asked->state != RECLAIM_PORT_TAKEN && !was_ours)) {
        return false;
    }
    say_who(reclaim, asked, who, sizeof who);
    (void)err_set(why, ERR_BIND, "port %u of the peer is still taken, %s", (unsigned)port, who);
    return true;
}

uint64_t reclaim_retry_ms(const struct reclaim *reclaim, uint16_t port, uint64_t max_ms)
{
    const struct asked_port *asked = find_const(reclaim, port);
    uint64_t since_ms = asked != NULL && asked->busy_since_ms != 0 ? now_ms(reclaim) - asked->busy_since_ms : 0;
    uint64_t delay_ms = since_ms < QUICK_FIRST_MS ? QUICK_FIRST_MS : since_ms;
    if (since_ms >= QUICK_FOR_MS) {
        return max_ms;
    }
    delay_ms = delay_ms < QUICK_LAST_MS ? delay_ms : QUICK_LAST_MS;
    return delay_ms < max_ms ? delay_ms : max_ms;
}

bool reclaim_is_working(const struct reclaim *reclaim)
{
    return reclaim->exec != NULL && (reclaim->exec_ends || reclaim->end_due);
}

/* ---- the beginning and the end ---- */

struct reclaim *reclaim_new(const struct reclaim_options *options)
{
    struct err_info why;
    struct reclaim *reclaim = calloc(1, sizeof *reclaim);
    if (reclaim == NULL) {
        return NULL;
    }
    reclaim->options = *options;
    reclaim->tunnel = strdup(options->tunnel);
    reclaim->record_path = options->record_path != NULL ? strdup(options->record_path) : NULL;
    if (reclaim->tunnel == NULL || (options->record_path != NULL && reclaim->record_path == NULL)) {
        reclaim_free(reclaim);
        return NULL;
    }
    reclaim_record_init(&reclaim->record, options->tunnel, options->host);
    if (reclaim->record_path != NULL && reclaim_record_load(&reclaim->record, reclaim->record_path, &why) != OK) {
        log_warning(reclaim->tunnel, "which sessions were ours is not known: %s", why.message);
    }
    return reclaim;
}

void reclaim_enable(struct reclaim *reclaim, bool enabled)
{
    reclaim->options.enabled = enabled;
}

void reclaim_free(struct reclaim *reclaim)
{
    if (reclaim != NULL) {
        free(reclaim->tunnel);
        free(reclaim->record_path);
        free(reclaim);
    }
}
