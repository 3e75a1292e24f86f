/* The decision on a peer's host key: StrictHostKeyChecking as ssh_config(5) has it. One worker thread job does all of
 * it: reading known_hosts, asking at the terminal, pinning. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/platform.h"
#include "session/host_key.h"
#include "session/known_hosts_file.h"
#include "session/wire.h"

struct host_key_check {
    uv_work_t work;
    const struct host_spec *spec;
    char *hostname;
    char *log_name;
    char *name;       /* to look up, and to pin under */
    char *plain_name; /* without the port; NULL when that is the same */
    uint8_t *key;
    size_t key_len;
    uint16_t port;
    bool interactive;
    atomic_bool cancelled;
    char key_text[160];
    enum err result;
    struct err_info why; /* also with OK: see host_key_cb */
    host_key_cb *done;
    void *arg;
};

/* Puts the command that trusts the key, and `tail`, behind what check->why says, as far as there is room. */
static void add_trust_command(struct host_key_check *check, const char *tail)
{
    char *message = check->why.message;
    size_t len = strlen(message);
    size_t tail_len = strlen(tail);
    size_t room = sizeof check->why.message - len;
    if (room > tail_len) {
        (void)host_key_trust_command(check->spec, check->hostname, check->port, message + len, room - tail_len);
        memcpy(message + strlen(message), tail, tail_len + 1);
    }
}

static void pin(const struct host_key_check *check)
{
    struct err_info info;
    const struct known_hosts_new_key key = {check->key, check->key_len};
    const char *path = check->spec->known_hosts_files.count > 0 ? check->spec->known_hosts_files.items[0] : "none";
    if (strcmp(path, "none") == 0)
        return;
    if (known_hosts_append(path, check->name, check->spec->hash_known_hosts, &key, 1, &info) == OK)
        log_warning(check->log_name, "host key %s of %s is new: pinned in %s", check->key_text, check->name, path);
    else
        log_warning(check->log_name,
                    "host key %s of %s could not be pinned: %s (make it writable for this user, or name another "
                    "known_hosts file)",
                    check->key_text, check->name, info.message);
}

static void refuse_unknown(struct host_key_check *check, const char *reason)
{
    check->result = err_set(&check->why, ERR_HOST_KEY,
                            "the host key of %.200s is not known%s: %s; compare it with the peer's own (ssh-keygen -lf "
                            "on its /etc/ssh/ssh_host_*_key.pub), then run: ",
                            check->name, reason, check->key_text);
    add_trust_command(check, "");
}

/* Is what a person typed this key's fingerprint? */
static bool is_fingerprint(const struct host_key_check *check, const char *answer)
{
    char fingerprint[64];
    return strcmp(answer, wire_fingerprint(check->key, check->key_len, fingerprint, sizeof fingerprint)) == 0;
}

/* Asks at the terminal until the answer is one. True for yes. */
static bool ask_person(struct host_key_check *check)
{
    char prompt[768];
    bool yes = false;
    bool decided = false;
    (void)snprintf(prompt, sizeof prompt,
                   "The authenticity of host '%.200s' can't be established.\n"
                   "Its host key is %s.\n"
                   "Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
                   check->name, check->key_text);
    while (!decided && !atomic_load(&check->cancelled)) {
        char *answer = NULL;
        if (platform_terminal_ask(prompt, true, &answer, NULL) != OK || answer == NULL)
            break;
        yes = strcmp(answer, "yes") == 0 || is_fingerprint(check, answer);
        decided = yes || strcmp(answer, "no") == 0;
        free(answer);
        (void)snprintf(prompt, sizeof prompt, "Please type 'yes', 'no' or the fingerprint: ");
    }
    return yes && !atomic_load(&check->cancelled);
}

static void decide_unknown(struct host_key_check *check)
{
    switch (check->spec->strict_host_key_checking) {
    case HOST_KEY_ACCEPT_NEW:
    case HOST_KEY_NO: pin(check); return;
    case HOST_KEY_ASK:
        if (!check->interactive || check->spec->batch_mode || !platform_has_terminal()) {
            refuse_unknown(check, "");
        } else if (ask_person(check)) {
            pin(check);
        } else if (!atomic_load(&check->cancelled)) {
            refuse_unknown(check, " and was not accepted");
        }
        return;
    case HOST_KEY_YES:
    default: refuse_unknown(check, ""); return;
    }
}

static void decide_changed(struct host_key_check *check, const struct known_hosts_result *found)
{
    bool same_type = found->status == KNOWN_HOSTS_MISMATCH;
    (void)err_set(
        &check->why, ERR_HOST_KEY,
        "THE HOST KEY OF %.120s HAS CHANGED: the peer has %s, but %.160s:%u %s %s; somebody may be in between. "
        "If the change is known and compared: ",
        check->name, check->key_text, found->file, found->line_number, same_type ? "has" : "has only", found->old_key);
    add_trust_command(check, ", or remove that line");
    if (check->spec->strict_host_key_checking != HOST_KEY_NO) {
        check->result = ERR_HOST_KEY;
        return;
    }
    log_warning(check->log_name, "%s; going on all the same, without passwords (strict_host_key_checking: no)",
                check->why.message);
}

static void check_work(uv_work_t *work)
{
    struct host_key_check *check = work->data;
    struct known_hosts_result found;
    if (atomic_load(&check->cancelled))
        return;
    known_hosts_search_files(&check->spec->known_hosts_files, check->name, check->plain_name, check->key,
                             check->key_len, check->log_name, &found);
    switch (found.status) {
    case KNOWN_HOSTS_MATCH:
        log_debug(check->log_name, "host key %s is the one at %s:%u", check->key_text, found.file, found.line_number);
        break;
    case KNOWN_HOSTS_IS_REVOKED:
        check->result =
            err_set(&check->why, ERR_HOST_KEY,
                    "the host key %s of %.200s is marked as revoked at %.200s:%u: do not use this host before "
                    "its keys are renewed",
                    check->key_text, check->name, found.file, found.line_number);
        break;
    case KNOWN_HOSTS_MISMATCH:
    case KNOWN_HOSTS_OTHER_TYPE: decide_changed(check, &found); break;
    case KNOWN_HOSTS_UNKNOWN:
    default: decide_unknown(check); break;
    }
}

static void check_free(struct host_key_check *check)
{
    free(check->hostname);
    free(check->log_name);
    free(check->name);
    free(check->plain_name);
    free(check->key);
    free(check);
}

static void check_done(uv_work_t *work, int status)
{
    struct host_key_check *check = work->data;
    if (status != 0 || atomic_load(&check->cancelled))
        check->result = err_set(&check->why, ERR_CANCELLED, "stopped while the host key was checked");
    check->done(check->arg, check->result, check->why.code != OK ? &check->why : NULL);
    check_free(check);
}

struct host_key_check *host_key_check_start(uv_loop_t *loop, const struct host_spec *spec, const char *hostname,
                                            uint16_t port, const uint8_t *key, size_t key_len, bool interactive,
                                            const char *log_name, host_key_cb *done, void *arg)
{
    struct host_key_check *check = calloc(1, sizeof *check);
    if (check == NULL)
        return NULL;
    check->work.data = check;
    check->spec = spec;
    check->port = port;
    check->interactive = interactive;
    check->done = done;
    check->arg = arg;
    check->key_len = key_len;
    check->key = malloc(key_len > 0 ? key_len : 1);
    check->hostname = strdup(hostname);
    check->log_name = log_name != NULL ? strdup(log_name) : NULL;
    check->name = known_hosts_lookup_name(hostname, port, spec->host_key_alias);
    bool complete = check->key != NULL && check->hostname != NULL && check->name != NULL;
    if (port != 22 && spec->host_key_alias == NULL) {
        check->plain_name = known_hosts_lookup_name(hostname, 22, NULL);
        complete = complete && check->plain_name != NULL;
    }
    if (!complete || (log_name != NULL && check->log_name == NULL)) {
        check_free(check);
        return NULL;
    }
    memcpy(check->key, key, key_len);
    (void)host_key_text(key, key_len, check->key_text, sizeof check->key_text);
    if (uv_queue_work(loop, &check->work, check_work, check_done) != 0) {
        check_free(check);
        return NULL;
    }
    return check;
}

void host_key_check_cancel(struct host_key_check *check)
{
    atomic_store(&check->cancelled, true);
    (void)uv_cancel((uv_req_t *)&check->work);
}
