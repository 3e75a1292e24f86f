#include "session/key_scan.h"

#include <stdlib.h>
#include <string.h>

#include "session/internal.h"

/* One connection, for one type of key. */
struct attempt {
    struct key_scan *scan;
    struct session *session;
    struct err_info why;
    bool found;
    bool no_such_type; /* the peer speaks SSH, and has no key of this type */
};

static void on_phase(void *arg, enum session_phase phase)
{
    (void)arg;
    (void)phase;
}

static void on_offer(void *arg, struct channel *channel, const struct channel_offer *offer)
{
    (void)arg;
    (void)offer;
    channel_reject(channel, ERR_REFUSED, "no channels here");
}

static void on_closed(void *arg, const struct err_info *why)
{
    struct attempt *attempt = arg;
    attempt->why = *why;
    /* Which side tells first that there is nothing in common is a race: a peer that does closes the connection. */
    attempt->no_such_type = why->code == ERR_PROTOCOL || (why->code == ERR_CLOSED && attempt->session->greeted);
    session_free(attempt->session);
}

static void on_host_key(void *arg, const uint8_t *key, size_t len)
{
    struct attempt *attempt = arg;
    struct key_scan *scan = attempt->scan;
    uint8_t *blob = malloc(len > 0 ? len : 1);
    if (blob == NULL || scan->count == KEY_SCAN_CAP) {
        free(blob);
        return;
    }
    memcpy(blob, key, len);
    scan->keys[scan->count++] = (struct key_scan_key){blob, len};
    attempt->found = true;
}

static void attempt_run(struct attempt *attempt, const struct host_spec *spec)
{
    const struct session_events events = {
        .on_phase = on_phase, .on_offer = on_offer, .on_closed = on_closed, .arg = attempt};
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) {
        (void)err_set(&attempt->why, ERR_MEMORY, "out of memory");
        return;
    }
    attempt->session = session_new(&loop, spec, false, spec->name, &events);
    if (attempt->session == NULL) {
        (void)err_set(&attempt->why, ERR_MEMORY, "out of memory");
    } else {
        attempt->session->on_host_key = on_host_key;
        attempt->session->on_host_key_arg = attempt;
        session_start(attempt->session);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
    }
    (void)uv_loop_close(&loop);
}

enum err key_scan_run(const struct host_spec *spec, struct key_scan *out, struct err_info *info)
{
    static const char *const types[KEY_SCAN_CAP] = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                                    "ecdsa-sha2-nistp521", "rsa-sha2-512,rsa-sha2-256"};
    struct err_info why = {.code = OK};
    struct host_spec one;
    bool failed = false;
    memset(out, 0, sizeof *out);
    host_spec_init(&one);
    enum err result = host_spec_copy(&one, spec);
    for (size_t i = 0; result == OK && !failed && i < KEY_SCAN_CAP; i++) {
        struct attempt attempt = {.scan = out, .session = NULL, .why = {.code = OK}, .found = false};
        free(one.host_key_algorithms);
        one.host_key_algorithms = strdup(types[i]);
        if (one.host_key_algorithms == NULL) {
            result = ERR_MEMORY;
            break;
        }
        attempt_run(&attempt, &one);
        if (!attempt.found && (why.code == OK || !attempt.no_such_type))
            why = attempt.why;
        /* The network, not the type: a part of the keys is no answer. */
        failed = !attempt.found && !attempt.no_such_type;
    }
    host_spec_deinit(&one);
    if (result == OK && (out->count == 0 || failed))
        result = err_set(info, why.code != OK ? why.code : ERR_PROTOCOL, "%s", why.message);
    else if (result != OK)
        (void)err_set(info, result, "out of memory");
    return result;
}

void key_scan_deinit(struct key_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        free(scan->keys[i].blob);
    memset(scan, 0, sizeof *scan);
}
