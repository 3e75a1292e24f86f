#include "config/settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "config/endpoint.h"
#include "config/text.h"
#include "platform/agent.h"
#include "platform/platform.h"
#include "platform/secret.h"

enum kind {
    KIND_STRING,
    KIND_BOOL,
    KIND_PORT,
    KIND_COUNT,
    KIND_DURATION,
    KIND_FAMILY,
    KIND_POLICY,
    KIND_REKEY,
    KIND_ALGORITHMS,
    KIND_AGENT,
    KIND_SECRET,
    KIND_RECLAIM,
    KIND_HOSTS,
    KIND_PATHS
};

struct setting {
    const char *ssh;  /* NULL: in YAML only */
    const char *yaml; /* NULL: not in YAML */
    enum kind kind;
    bool per_host;
    size_t offset;
    uint64_t min, max; /* COUNT: as is; DURATION: ms */
};

#define AT(member) offsetof(struct settings, member)
#define HOUR_MS UINT64_C(3600000)

static const struct setting table[] = {
    {"HostName", "hostname", KIND_HOSTS, true, AT(host.hostnames), 0, 0},
    {"Port", "port", KIND_PORT, false, AT(host.port), 0, 0},
    {"User", "user", KIND_STRING, false, AT(host.user), 0, 0},
    {"IdentityFile", "identity_file", KIND_PATHS, false, AT(host.identity_files), 0, 0},
    {"IdentitiesOnly", "identities_only", KIND_BOOL, false, AT(host.identities_only), 0, 0},
    {"IdentityAgent", "identity_agent", KIND_AGENT, false, AT(host.identity_agent), 0, 0},
    {NULL, "passphrase_secret", KIND_SECRET, false, AT(host.passphrase_secret), 0, 0},
    {"UserKnownHostsFile", "known_hosts_file", KIND_PATHS, false, AT(host.known_hosts_files), 0, 0},
    {"GlobalKnownHostsFile", NULL, KIND_PATHS, false, AT(global_known_hosts_files), 0, 0},
    {"StrictHostKeyChecking", "strict_host_key_checking", KIND_POLICY, false, AT(host.strict_host_key_checking), 0, 0},
    {"HostKeyAlias", "host_key_alias", KIND_STRING, true, AT(host.host_key_alias), 0, 0},
    {"HashKnownHosts", "hash_known_hosts", KIND_BOOL, false, AT(host.hash_known_hosts), 0, 0},
    {"AddressFamily", "address_family", KIND_FAMILY, false, AT(host.address_family), 0, 0},
    {"BindAddress", "bind_address", KIND_STRING, false, AT(host.bind_address), 0, 0},
    {"ConnectTimeout", "connect_timeout", KIND_DURATION, false, AT(host.connect_timeout_ms), 1000, HOUR_MS},
    {"ServerAliveInterval", "server_alive_interval", KIND_DURATION, false, AT(host.server_alive_interval_ms), 0,
     24 * HOUR_MS},
    {"ServerAliveCountMax", "server_alive_count_max", KIND_COUNT, false, AT(host.server_alive_count_max), 1, 1000},
    {"TCPKeepAlive", "tcp_keepalive", KIND_BOOL, false, AT(host.tcp_keepalive), 0, 0},
    {"Compression", "compression", KIND_BOOL, false, AT(host.compression), 0, 0},
    {"BatchMode", "batch_mode", KIND_BOOL, false, AT(host.batch_mode), 0, 0},
    {"PasswordAuthentication", "password_authentication", KIND_BOOL, false, AT(host.password_authentication), 0, 0},
    {"Ciphers", "ciphers", KIND_ALGORITHMS, false, AT(host.ciphers), 0, 0},
    {"MACs", "macs", KIND_ALGORITHMS, false, AT(host.macs), 0, 0},
    {"KexAlgorithms", "kex_algorithms", KIND_ALGORITHMS, false, AT(host.kex_algorithms), 0, 0},
    {"HostKeyAlgorithms", "host_key_algorithms", KIND_ALGORITHMS, false, AT(host.host_key_algorithms), 0, 0},
    {"RekeyLimit", "rekey_limit", KIND_REKEY, false, AT(host.rekey_limit_bytes), 0, 0},
    {"GatewayPorts", "gateway_ports", KIND_BOOL, false, AT(gateway_ports), 0, 0},
    {"ExitOnForwardFailure", "exit_on_forward_failure", KIND_BOOL, false, AT(exit_on_forward_failure), 0, 0},
    {"StreamLocalBindUnlink", "stream_local_bind_unlink", KIND_BOOL, false, AT(stream_local_bind_unlink), 0, 0},
    {NULL, "reclaim", KIND_RECLAIM, false, AT(no_reclaim), 0, 0},
    {"ClearAllForwardings", NULL, KIND_BOOL, false, AT(clear_all_forwardings), 0, 0},
};
#define TABLE_COUNT (sizeof table / sizeof table[0])

static uint64_t bit(const struct setting *setting)
{
    return UINT64_C(1) << (setting - table);
}

static void *place(struct settings *settings, const struct setting *setting)
{
    return (char *)settings + setting->offset;
}

static const void *const_place(const struct settings *settings, const struct setting *setting)
{
    return (const char *)settings + setting->offset;
}

void settings_init(struct settings *settings)
{
    memset(settings, 0, sizeof *settings);
    host_spec_init(&settings->host);
}

void settings_deinit(struct settings *settings)
{
    host_spec_deinit(&settings->host);
    string_list_deinit(&settings->global_known_hosts_files);
    memset(settings, 0, sizeof *settings);
}

const struct setting *setting_find(enum dialect dialect, const char *word)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (dialect == DIALECT_SSH ? table[i].ssh != NULL && text_equal_nocase(word, table[i].ssh)
                                   : table[i].yaml != NULL && strcmp(word, table[i].yaml) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

size_t setting_words(enum dialect dialect, const char **out, size_t cap)
{
    size_t count = 0;
    for (size_t i = 0; i < TABLE_COUNT && count < cap; i++) {
        const char *word = dialect == DIALECT_SSH ? table[i].ssh : table[i].yaml;
        if (word != NULL) {
            out[count++] = word;
        }
    }
    return count;
}

bool setting_is_list(const struct setting *setting)
{
    return setting->kind == KIND_HOSTS || setting->kind == KIND_PATHS;
}

bool setting_is_per_host(const struct setting *setting)
{
    return setting->per_host;
}

bool settings_has(const struct settings *settings, const struct setting *setting)
{
    return (settings->given & bit(setting)) != 0;
}

/* --- values --- */

#define SHOWN_BYTES 80

static enum err out_of_memory(struct err_info *info)
{
    return err_set(info, ERR_MEMORY, "out of memory");
}

static enum err replace_string(char **to, char *value, struct err_info *info)
{
    if (value == NULL) {
        return out_of_memory(info);
    }
    free(*to);
    *to = value;
    return OK;
}

enum err settings_parse_bool(const char *value, bool *out, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    if (text_equal_nocase(value, "yes") || text_equal_nocase(value, "true")) {
        *out = true;
        return OK;
    }
    if (text_equal_nocase(value, "no") || text_equal_nocase(value, "false")) {
        *out = false;
        return OK;
    }
    return err_set(info, ERR_DEFINITION, "'%s' is not yes or no", text_shown(value, shown, sizeof shown));
}

static enum err reclaim_parse(const char *value, bool *out_no, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    bool is_no = text_equal_nocase(value, "no");
    if (!is_no && !text_equal_nocase(value, "auto")) {
        return err_set(info, ERR_DEFINITION, "'%s' is not auto or no", text_shown(value, shown, sizeof shown));
    }
    *out_no = is_no;
    return OK;
}

static enum err count_parse(const struct setting *setting, const char *value, unsigned *out, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    uint64_t number = 0;
    size_t len = strlen(value);
    (void)text_shown(value, shown, sizeof shown);
    if (len == 0 || strspn(value, "0123456789") != len) {
        return err_set(info, ERR_DEFINITION, "'%s' is not a whole number", shown);
    }
    for (size_t i = 0; i < len && number <= setting->max; i++) {
        number = number * 10 + (uint64_t)(value[i] - '0');
    }
    if (number < setting->min || number > setting->max) {
        return err_set(info, ERR_DEFINITION, "%s is not in %llu-%llu", shown, (unsigned long long)setting->min,
                       (unsigned long long)setting->max);
    }
    *out = (unsigned)number;
    return OK;
}

static enum err ranged_duration_parse(const struct setting *setting, enum dialect dialect, const char *value,
                                      uint64_t *out_ms, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    char min[32];
    char max[32];
    uint64_t ms = 0;
    enum err result = OK;
    (void)text_shown(value, shown, sizeof shown);
    if (dialect == DIALECT_SSH) {
        /* ssh: "none" and 0 leave the connection to the system's own limit; ours has one always. */
        if (setting->min > 0 && (text_equal_nocase(value, "none") || strcmp(value, "0") == 0)) {
            *out_ms = setting->max;
            return OK;
        }
        result = duration_parse_ssh(shown, &ms, info);
    } else {
        result = duration_parse(shown, &ms, info);
    }
    if (result == OK && (ms < setting->min || ms > setting->max)) {
        return err_set(info, ERR_DEFINITION, "%s is not in %s-%s", shown, duration_text(setting->min, min, sizeof min),
                       duration_text(setting->max, max, sizeof max));
    }
    *out_ms = ms;
    return result;
}

static enum err family_parse(const char *value, int *out, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    if (text_equal_nocase(value, "any")) {
        *out = 0;
    } else if (text_equal_nocase(value, "inet")) {
        *out = 4;
    } else if (text_equal_nocase(value, "inet6")) {
        *out = 6;
    } else {
        return err_set(info, ERR_DEFINITION, "'%s' is not any, inet or inet6", text_shown(value, shown, sizeof shown));
    }
    return OK;
}

static enum err policy_parse(enum dialect dialect, const char *value, enum host_key_policy *out, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    bool yes = false;
    if (settings_parse_bool(value, &yes, NULL) == OK) {
        *out = yes ? HOST_KEY_YES : HOST_KEY_NO;
        return OK;
    }
    if (text_equal_nocase(value, dialect == DIALECT_YAML ? "accept_new" : "accept-new")) {
        *out = HOST_KEY_ACCEPT_NEW;
        return OK;
    }
    if (dialect == DIALECT_SSH && text_equal_nocase(value, "off")) {
        *out = HOST_KEY_NO;
        return OK;
    }
    if (dialect == DIALECT_SSH && text_equal_nocase(value, "ask")) {
        *out = HOST_KEY_ASK;
        return OK;
    }
    return err_set(info, ERR_DEFINITION, "'%s' is not %s", text_shown(value, shown, sizeof shown),
                   dialect == DIALECT_YAML ? "yes, accept_new or no" : "yes, no, ask or accept-new");
}

/* "BYTES [TIME]"; "default" and "none" stand for what we do by ourselves. */
static enum err rekey_parse(enum dialect dialect, const char *value, struct host_spec *host, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    char word[2][40] = {"", ""};
    const char *at = value;
    uint64_t bytes = 0;
    uint64_t ms = 0;
    enum err result = OK;
    for (size_t i = 0; i < 2; i++) {
        at += strspn(at, " \t");
        size_t len = strcspn(at, " \t");
        if (len < sizeof word[i]) {
            memcpy(word[i], at, len);
            at += len;
        }
    }
    at += strspn(at, " \t");
    if (word[0][0] == '\0' || *at != '\0') {
        return err_set(info, ERR_DEFINITION, "'%s' is not a size and a time, such as '%s'",
                       text_shown(value, shown, sizeof shown), dialect == DIALECT_YAML ? "1GiB 1h" : "1G 1h");
    }
    if (!text_equal_nocase(word[0], "default") && !text_equal_nocase(word[0], "none")) {
        result = dialect == DIALECT_YAML ? size_parse(text_shown(word[0], shown, sizeof shown), &bytes, info)
                                         : size_parse_ssh(text_shown(word[0], shown, sizeof shown), &bytes, info);
        if (result == OK && bytes < 16) {
            result = err_set(info, ERR_DEFINITION, "a limit of %s is too small", word[0]);
        }
    }
    if (result == OK && word[1][0] != '\0' && !text_equal_nocase(word[1], "none")) {
        result = dialect == DIALECT_YAML ? duration_parse(text_shown(word[1], shown, sizeof shown), &ms, info)
                                         : duration_parse_ssh(text_shown(word[1], shown, sizeof shown), &ms, info);
    }
    if (result == OK) {
        host->rekey_limit_bytes = bytes;
        host->rekey_limit_ms = ms;
    }
    return result;
}

static enum err algorithms_check(const char *value, struct err_info *info)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@,*?!";
    char shown[SHOWN_BYTES];
    size_t skip = strspn(value, "+-^") > 0 ? 1 : 0;
    const char *list = value + skip;
    if (*list == '\0' || *list == ',' || strspn(list, letters) != strlen(list)) {
        return err_set(info, ERR_DEFINITION, "'%s' is not a list of algorithms parted by commas",
                       text_shown(value, shown, sizeof shown));
    }
    return OK;
}

static char *path_of(enum dialect dialect, const char *dir, const char *value)
{
    return dialect == DIALECT_YAML && dir != NULL ? platform_path_resolve(dir, value) : strdup(value);
}

/* A word in place of an agent's path. */
static bool is_agent_word(const char *value)
{
    return strcmp(value, "SSH_AUTH_SOCK") == 0 || value[0] == '$' || platform_agent_is_address(value);
}

static char *agent_of(enum dialect dialect, const char *dir, const char *value)
{
    if (text_equal_nocase(value, "none")) {
        return strdup("none");
    }
    return is_agent_word(value) ? strdup(value) : path_of(dialect, dir, value);
}

/* A definition that could not work here is not taken. */
static enum err secret_set(char **to, const char *value, struct err_info *info)
{
    if (!platform_has_secrets()) {
        return err_set(info, ERR_DEFINITION,
                       "stored secrets are not in this version on this system; load the key into ssh-agent, or use one "
                       "without a passphrase");
    }
    if (platform_secret_name_check(value, info) != OK) {
        if (info != NULL) {
            info->code = ERR_DEFINITION;
        }
        return ERR_DEFINITION;
    }
    return replace_string(to, strdup(value), info);
}

static enum err list_add(struct string_list *list, enum kind kind, enum dialect dialect, const char *dir,
                         const char *value, struct err_info *info)
{
    if (kind == KIND_HOSTS) {
        /* A host name may hold % tokens under ssh_config; what comes out of them is looked up and fails there. */
        if (dialect == DIALECT_YAML || strchr(value, '%') == NULL) {
            char *user = NULL;
            char *host = NULL;
            uint16_t port = 0;
            char shown[SHOWN_BYTES];
            enum err result = destination_parse(value, &user, &host, &port, info);
            bool plain = result == OK && user == NULL && port == 0 && strncmp(value, "ssh://", 6) != 0;
            free(user);
            free(host);
            if (!plain) {
                return result == ERR_MEMORY ? result
                                            : err_set(info, ERR_DEFINITION, "'%s' is not a host name or address",
                                                      text_shown(value, shown, sizeof shown));
            }
        }
        return string_list_add(list, value) == OK ? OK : out_of_memory(info);
    }
    char *path = path_of(dialect, dir, value);
    enum err result = path == NULL ? ERR_MEMORY : string_list_add(list, path);
    free(path);
    return result == OK ? OK : out_of_memory(info);
}

enum err settings_set(struct settings *settings, const struct setting *setting, enum dialect dialect, const char *dir,
                      const char *value, struct err_info *info)
{
    void *at = place(settings, setting);
    enum err result = OK;
    if (*value == '\0') {
        return err_set(info, ERR_DEFINITION, "a value is missing");
    }
    switch (setting->kind) {
    case KIND_STRING: result = replace_string(at, strdup(value), info); break;
    case KIND_BOOL: result = settings_parse_bool(value, at, info); break;
    case KIND_PORT: result = port_parse(value, false, at, info); break;
    case KIND_COUNT: result = count_parse(setting, value, at, info); break;
    case KIND_DURATION: result = ranged_duration_parse(setting, dialect, value, at, info); break;
    case KIND_FAMILY: result = family_parse(value, at, info); break;
    case KIND_POLICY: result = policy_parse(dialect, value, at, info); break;
    case KIND_REKEY: result = rekey_parse(dialect, value, &settings->host, info); break;
    case KIND_ALGORITHMS:
        result = algorithms_check(value, info);
        result = result == OK ? replace_string(at, strdup(value), info) : result;
        break;
    case KIND_AGENT: result = replace_string(at, agent_of(dialect, dir, value), info); break;
    case KIND_SECRET: result = secret_set(at, value, info); break;
    case KIND_RECLAIM: result = reclaim_parse(value, at, info); break;
    case KIND_HOSTS:
    case KIND_PATHS: result = list_add(at, setting->kind, dialect, dir, value, info); break;
    }
    if (result == OK) {
        settings->given |= bit(setting);
    }
    return result;
}

static enum err merge_one(struct settings *to, const struct settings *from, const struct setting *setting)
{
    void *target = place(to, setting);
    const void *source = const_place(from, setting);
    switch (setting->kind) {
    case KIND_STRING:
    case KIND_ALGORITHMS:
    case KIND_AGENT:
    case KIND_SECRET: return replace_string(target, strdup(*(char *const *)source), NULL);
    case KIND_RECLAIM:
    case KIND_BOOL: *(bool *)target = *(const bool *)source; break;
    case KIND_PORT: *(uint16_t *)target = *(const uint16_t *)source; break;
    case KIND_COUNT: *(unsigned *)target = *(const unsigned *)source; break;
    case KIND_DURATION: *(uint64_t *)target = *(const uint64_t *)source; break;
    case KIND_FAMILY: *(int *)target = *(const int *)source; break;
    case KIND_POLICY: *(enum host_key_policy *)target = *(const enum host_key_policy *)source; break;
    case KIND_REKEY:
        to->host.rekey_limit_bytes = from->host.rekey_limit_bytes;
        to->host.rekey_limit_ms = from->host.rekey_limit_ms;
        break;
    case KIND_HOSTS:
    case KIND_PATHS: string_list_deinit(target); return string_list_copy(target, source);
    }
    return OK;
}

enum err settings_merge(struct settings *to, const struct settings *from)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (settings_has(from, &table[i]) && !settings_has(to, &table[i])) {
            if (merge_one(to, from, &table[i]) != OK) {
                return ERR_MEMORY;
            }
            to->given |= bit(&table[i]);
        }
    }
    return OK;
}
