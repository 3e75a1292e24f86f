/* What a host key is called, and which kinds of it to ask a peer for. The decision itself is in host_key_check.c. */
#include "session/host_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "platform/platform.h"
#include "session/known_hosts_file.h"
#include "session/wire.h"

/* What libssh2 does and is worth doing, best first: no SHA-1, no certificates. `type` is the word in key blobs. */
static const struct algorithm {
    const char *name;
    const char *type;
} algorithms[] = {
    {"ssh-ed25519", "ssh-ed25519"},
    {"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"},
    {"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"},
    {"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"},
    {"rsa-sha2-512", "ssh-rsa"},
    {"rsa-sha2-256", "ssh-rsa"},
};

const char host_key_all_algorithms[] = "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
                                       "rsa-sha2-512,rsa-sha2-256";

#define ALGORITHM_COUNT (sizeof algorithms / sizeof algorithms[0])

/* An order of preference: indexes into `algorithms`, each at most once. */
struct preference {
    size_t items[ALGORITHM_COUNT];
    size_t count;
};

const char *host_key_text(const uint8_t *key, size_t key_len, char *out, size_t cap_bytes)
{
    char fingerprint[64];
    struct wire_slice type = wire_key_type(key, key_len);
    (void)snprintf(out, cap_bytes, "%.*s %s", type.len < 64 ? (int)type.len : 64,
                   type.len > 0 ? (const char *)type.data : "",
                   wire_fingerprint(key, key_len, fingerprint, sizeof fingerprint));
    return out;
}

static void preference_remove(struct preference *preference, size_t algorithm)
{
    size_t kept = 0;
    for (size_t i = 0; i < preference->count; i++) {
        if (preference->items[i] != algorithm)
            preference->items[kept++] = preference->items[i];
    }
    preference->count = kept;
}

/* Adds it at the end unless it is there. */
static void preference_add(struct preference *preference, size_t algorithm)
{
    for (size_t i = 0; i < preference->count; i++) {
        if (preference->items[i] == algorithm)
            return;
    }
    preference->items[preference->count++] = algorithm;
}

static void preference_all(struct preference *preference)
{
    preference->count = 0;
    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        preference_add(preference, i);
}

/* The next word of a comma list, for each algorithm it names (patterns are taken too, as known_hosts has them). */
static void each_named(const char *list, void (*apply)(struct preference *, size_t), struct preference *preference)
{
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
            if (known_hosts_names_match(list, len, algorithms[i].name))
                apply(preference, i);
        }
        list += len;
        if (*list == ',')
            list++;
    }
}

/* ssh_config(5), HostKeyAlgorithms: a list, or one to add (+), to take away (-), to put first (^). */
static void preference_parse(struct preference *preference, const char *list)
{
    preference_all(preference);
    if (list == NULL)
        return;
    if (*list == '-') {
        each_named(list + 1, preference_remove, preference);
    } else if (*list == '^') {
        preference->count = 0;
        each_named(list + 1, preference_add, preference);
        for (size_t i = 0; i < ALGORITHM_COUNT; i++)
            preference_add(preference, i);
    } else if (*list != '+') { /* what + could add, we have by default */
        preference->count = 0;
        each_named(list, preference_add, preference);
    }
}

/* Which algorithms belong to keys pinned under `name` in one text. */
static void mark_pinned(const char *text, size_t len, const char *name, bool *io_pinned)
{
    struct known_hosts_cursor cursor = {text, len, 0, 0};
    const char *line = NULL;
    size_t line_len = 0;
    uint8_t key[KNOWN_HOSTS_KEY_CAP_BYTES];
    while (known_hosts_next(&cursor, &line, &line_len)) {
        struct known_hosts_entry entry;
        if (known_hosts_parse(line, line_len, &entry) != KNOWN_HOSTS_ENTRY || entry.marker != KNOWN_HOSTS_PLAIN ||
            !known_hosts_names_match(entry.names, entry.names_len, name) || known_hosts_key(&entry, key) == 0)
            continue;
        for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
            if (strlen(algorithms[i].type) == entry.type_len &&
                memcmp(algorithms[i].type, entry.type, entry.type_len) == 0)
                io_pinned[i] = true;
        }
    }
}

/* As ssh: the entries for the name with its port; when there is none, those for the name alone. */
static void find_pinned(const struct host_spec *spec, const char *hostname, uint16_t port, bool *io_pinned)
{
    bool any = false;
    for (int pass = 0; pass < 2 && !any; pass++) {
        if (pass == 1 && (port == 22 || spec->host_key_alias != NULL))
            return;
        char *name = known_hosts_lookup_name(hostname, pass == 0 ? port : 22, spec->host_key_alias);
        for (size_t i = 0; name != NULL && i < spec->known_hosts_files.count; i++) {
            char *text = NULL;
            size_t len = 0;
            if (known_hosts_read(spec->known_hosts_files.items[i], &text, &len, NULL) == OK)
                mark_pinned(text, len, name, io_pinned);
            free(text);
        }
        free(name);
        for (size_t i = 0; i < ALGORITHM_COUNT; i++)
            any = any || io_pinned[i];
    }
}

bool host_key_is_pinned(const struct host_spec *spec, const char *hostname, uint16_t port)
{
    bool pinned[ALGORITHM_COUNT] = {false};
    bool any = false;
    find_pinned(spec, hostname, port, pinned);
    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        any = any || pinned[i];
    return any;
}

char *host_key_algorithms(const struct host_spec *spec, const char *hostname, uint16_t port)
{
    struct preference preference;
    struct preference sorted = {{0}, 0};
    bool pinned[ALGORITHM_COUNT] = {false};
    const char *list = spec->host_key_algorithms;
    preference_parse(&preference, list);
    if (list == NULL || *list == '+' || *list == '-') { /* an order that the user wrote is kept */
        find_pinned(spec, hostname, port, pinned);
        for (size_t i = 0; i < preference.count; i++) {
            if (pinned[preference.items[i]])
                preference_add(&sorted, preference.items[i]);
        }
    }
    for (size_t i = 0; i < preference.count; i++)
        preference_add(&sorted, preference.items[i]);

    char *text = calloc(1, ALGORITHM_COUNT * 32);
    for (size_t i = 0; text != NULL && i < sorted.count; i++)
        (void)snprintf(text + strlen(text), 32, "%s%s", i > 0 ? "," : "", algorithms[sorted.items[i]].name);
    return text;
}

/* The file that `holdfast trust` writes to by itself. */
static bool is_usual_file(const char *path)
{
    char *folder = platform_ssh_dir();
    char *usual = folder != NULL ? platform_path_resolve(folder, "known_hosts") : NULL;
    bool is_it = usual != NULL && strcmp(path, usual) == 0;
    free(usual);
    free(folder);
    return is_it;
}

const char *host_key_trust_command(const struct host_spec *spec, const char *hostname, uint16_t port, char *out,
                                   size_t cap_bytes)
{
    char target[300];
    const char *file = spec->known_hosts_files.count > 0 ? spec->known_hosts_files.items[0] : "none";
    const char *quote = strchr(file, ' ') != NULL ? "\"" : "";
    const char *alias = spec->host_key_alias;
    bool names_file = strcmp(file, "none") != 0 && !is_usual_file(file);
    if (port == 22)
        (void)snprintf(target, sizeof target, "%.250s", hostname);
    else
        (void)snprintf(target, sizeof target, strchr(hostname, ':') != NULL ? "[%.250s]:%u" : "%.250s:%u", hostname,
                       (unsigned)port);
    int len = snprintf(out, cap_bytes, "holdfast trust %s%s%s%s%s%s%s", target, names_file ? " --known-hosts " : "",
                       names_file ? quote : "", names_file ? file : "", names_file ? quote : "",
                       alias != NULL ? " -o HostKeyAlias=" : "", alias != NULL ? alias : "");
    if (len < 0 || (size_t)len >= cap_bytes)
        (void)snprintf(out, cap_bytes, "holdfast trust %s", target);
    return out;
}
