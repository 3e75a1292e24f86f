/* The hops before the network: the definition, the key files, the agent. */
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "session/auth_agent.h"
#include "session/host_key.h"
#include "session/key_file.h"

enum { KEY_TEXT_BYTES = 160 };

/* One identity file as it was found. */
struct found_key {
    const char *path;
    struct key_file file;
    enum err result;
    struct err_info why;
    bool is_loaded, is_in_agent, is_usable;
};

struct keys {
    struct found_key *items;
    size_t count, usable;
    char *agent_path;
    struct auth_agent_keys agent;
    enum err agent_result;
    struct err_info agent_why;
};

static bool agent_has(const struct keys *keys, const struct key_file *file)
{
    for (size_t i = 0; file->public_key != NULL && i < keys->agent.count; i++) {
        const struct auth_agent_key *key = &keys->agent.items[i];
        if (key->len == file->public_key_len && memcmp(key->blob, file->public_key, key->len) == 0) {
            return true;
        }
    }
    return false;
}

static void look(struct doctor *doctor, struct keys *keys)
{
    const struct host_spec *host = &doctor->host;
    keys->agent_path = auth_agent_path(host);
    keys->agent_result =
        keys->agent_path != NULL ? auth_agent_list(keys->agent_path, &keys->agent, &keys->agent_why) : OK;
    keys->items = calloc(host->identity_files.count + 1, sizeof *keys->items);
    for (size_t i = 0; keys->items != NULL && i < host->identity_files.count; i++) {
        struct found_key *key = &keys->items[keys->count++];
        key->path = host->identity_files.items[i];
        key->result = key_file_load(&key->file, key->path, &key->why);
        key->is_loaded = key->result == OK;
        key->is_in_agent = key->is_loaded && agent_has(keys, &key->file);
        bool opens = key->is_loaded && key->file.text != NULL &&
                     (!key->file.encrypted || host->passphrase_secret != NULL || doctor->may_ask);
        key->is_usable = key->is_in_agent || opens;
        keys->usable += key->is_usable ? 1 : 0;
    }
    keys->usable += host->identities_only ? 0 : keys->agent.count;
}

static void judge_unreadable(struct doctor *doctor, const struct found_key *key, enum doctor_result bad)
{
    static const char *const marks[] = {"; run: "};
    char seen[sizeof key->why.message];
    char mend[sizeof key->why.message];
    char otherwise[300];
    if (key->file.missing) {
        (void)snprintf(otherwise, sizeof otherwise,
                       "name the right file with identity_file, or make the key with: holdfast keygen %.100s",
                       doctor->tunnel->name);
    } else if (key->result == ERR_UNSUPPORTED) {
        (void)snprintf(otherwise, sizeof otherwise,
                       "convert it, or make another key with ssh-keygen -t ed25519 and name it with identity_file");
    } else {
        (void)snprintf(
            otherwise, sizeof otherwise,
            "see that it is a private key and that this user can read it, or name another with identity_file");
    }
    doctor_split(key->why.message, marks, 1, otherwise, seen, mend, sizeof seen);
    doctor_report_add(doctor->report, bad, "key file", mend, "%s", seen);
}

static void judge_key(struct doctor *doctor, const struct found_key *key, enum doctor_result bad)
{
    static const char mend[] = "load it into ssh-agent, or use a key without passphrase and with least rights "
                               "(holdfast keygen)";
    char text[KEY_TEXT_BYTES] = "its type is known once it is unlocked";
    const char *path = key->path;
    if (!key->is_loaded) {
        judge_unreadable(doctor, key, bad);
        return;
    }
    if (key->file.public_key != NULL) {
        (void)host_key_text(key->file.public_key, key->file.public_key_len, text, sizeof text);
    }
    if (key->is_in_agent) {
        doctor_report_add(doctor->report, DOCTOR_OK, "key file", NULL, "%s: %s; the agent holds it", path, text);
    } else if (key->file.text == NULL) {
        doctor_report_add(doctor->report, bad, "key file", "load the private half into the agent, or name its file",
                          "%s: only the public half is there, and the agent does not have the private one", path);
    } else if (!key->file.encrypted) {
        doctor_report_add(doctor->report, DOCTOR_OK, "key file", NULL, "%s: %s, readable by nobody else", path, text);
    } else if (doctor->host.passphrase_secret != NULL) {
        doctor_report_add(doctor->report, DOCTOR_OK, "key file", NULL,
                          "%s: %s; its passphrase is the stored secret '%s'", path, text,
                          doctor->host.passphrase_secret);
    } else {
        doctor_report_add(doctor->report, doctor->may_ask ? DOCTOR_WARNING : bad, "key file", mend,
                          "%s: %s; it needs a passphrase, the agent does not hold it, and 'run' has nobody to ask",
                          path, text);
    }
}

/* Default keys: those that exist, in one line. */
static void judge_defaults(struct doctor *doctor, const struct keys *keys)
{
    char text[900] = "";
    for (size_t i = 0; i < keys->count; i++) {
        const struct found_key *key = &keys->items[i];
        if (key->is_loaded || !key->file.missing) {
            doctor_append(text, sizeof text, ", ", "%s%s", key->path,
                          key->is_usable   ? ""
                          : key->is_loaded ? " (needs a passphrase)"
                                           : " (not usable)");
        }
    }
    if (keys->usable > 0) {
        doctor_report_add(doctor->report, DOCTOR_OK, "key file", NULL, "no identity_file is named; %s%s",
                          text[0] != '\0' ? "of the default ones: " : "the agent has keys", text);
    } else {
        doctor_report_add(doctor->report, DOCTOR_WARNING, "key file",
                          "make a key with ssh-keygen -t ed25519, and name it with identity_file",
                          "no identity_file is named, and none of the default ones can be used%s%s",
                          text[0] != '\0' ? ": " : "", text);
    }
}

static void judge_agent(struct doctor *doctor, const struct keys *keys)
{
    bool is_named = doctor->host.identity_agent != NULL;
    if (keys->agent_path == NULL) {
        doctor_report_add(doctor->report, DOCTOR_OK, "agent", NULL, "none is used");
    } else if (keys->agent_result == OK) {
        doctor_report_add(doctor->report, DOCTOR_OK, "agent", NULL, "%s holds %zu key%s", keys->agent_path,
                          keys->agent.count, keys->agent.count == 1 ? "" : "s");
    } else {
        bool is_missed = is_named || keys->agent_result == ERR_TIMEOUT; /* it is there, and has no time */
        doctor_report_add(doctor->report, is_missed ? DOCTOR_WARNING : DOCTOR_OK, "agent",
                          is_missed ? "start the agent, or set identity_agent: none" : NULL, "%s",
                          keys->agent_why.message);
    }
}

void doctor_keys(struct doctor *doctor)
{
    struct keys keys;
    const struct tunnel_spec *tunnel = doctor->tunnel;
    memset(&keys, 0, sizeof keys);
    doctor_report_add(doctor->report, DOCTOR_OK, "definition", NULL, "%s, %zu forward%s%s%s",
                      tunnel->where != NULL ? tunnel->where : "valid", tunnel->forward_count,
                      tunnel->forward_count == 1 ? "" : "s", doctor->keeper[0] != '\0' ? "; kept now by " : "",
                      doctor->keeper);
    look(doctor, &keys);
    if (doctor->host.identity_files_are_default || keys.count == 0) {
        judge_defaults(doctor, &keys);
    }
    for (size_t i = 0; !doctor->host.identity_files_are_default && i < keys.count; i++) {
        judge_key(doctor, &keys.items[i], keys.usable > 0 ? DOCTOR_WARNING : DOCTOR_FAIL);
    }
    if (!doctor_has_failed(doctor)) {
        judge_agent(doctor, &keys);
    }
    for (size_t i = 0; i < keys.count; i++) {
        key_file_deinit(&keys.items[i].file);
    }
    free(keys.items);
    free(keys.agent_path);
    auth_agent_keys_deinit(&keys.agent);
}
