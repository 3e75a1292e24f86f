#include "config/options.h"

#include <stdlib.h>
#include <string.h>

#include "config/endpoint.h"
#include "config/text.h"

#define SHOWN_BYTES 80
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Words of ssh_config(5) that do not concern tunnels, or only in ways that leave them working: passed over in files. */
static const char *const foreign_words[] = {
    "AddKeysToAgent",
    "CASignatureAlgorithms",
    "CanonicalDomains",
    "CanonicalizeFallbackLocal",
    "CanonicalizeMaxDots",
    "CanonicalizePermittedCNAMEs",
    "CertificateFile",
    "ChallengeResponseAuthentication",
    "ChannelTimeout",
    "CheckHostIP",
    "Cipher",
    "CompressionLevel",
    "ConnectionAttempts",
    "ControlMaster",
    "ControlPath",
    "ControlPersist",
    "EnableEscapeCommandline",
    "EnableSSHKeysign",
    "EscapeChar",
    "FingerprintHash",
    "ForkAfterAuthentication",
    "ForwardAgent",
    "ForwardX11",
    "ForwardX11Timeout",
    "ForwardX11Trusted",
    "GSSAPIAuthentication",
    "GSSAPIClientIdentity",
    "GSSAPIDelegateCredentials",
    "GSSAPIKeyExchange",
    "GSSAPIRenewalForcesRekey",
    "GSSAPIServerIdentity",
    "GSSAPITrustDns",
    "GSSAPIKexAlgorithms",
    "HostbasedAcceptedAlgorithms",
    "HostbasedAuthentication",
    "HostbasedKeyTypes",
    "IPQoS",
    "KbdInteractiveAuthentication",
    "KbdInteractiveDevices",
    "KnownHostsCommand",
    "LocalCommand",
    "LogLevel",
    "LogVerbose",
    "NoHostAuthenticationForLocalhost",
    "NumberOfPasswordPrompts",
    "ObscureKeystrokeTiming",
    "PKCS11Provider",
    "PermitLocalCommand",
    "PermitRemoteOpen",
    "PreferredAuthentications",
    "Protocol",
    "ProxyUseFdpass",
    "PubkeyAcceptedAlgorithms",
    "PubkeyAcceptedKeyTypes",
    "PubkeyAuthentication",
    "RemoteCommand",
    "RequestTTY",
    "RequiredRSASize",
    "RevokedHostKeys",
    "RhostsRSAAuthentication",
    "RSAAuthentication",
    "SecurityKeyProvider",
    "SendEnv",
    "SessionType",
    "SetEnv",
    "SmartcardDevice",
    "StdinNull",
    "StreamLocalBindMask",
    "SyslogFacility",
    "Tag",
    "TunnelDevice",
    "UpdateHostKeys",
    "UseKeychain",
    "UsePrivilegedPort",
    "UserKnownHostsFile2",
    "VerifyHostKeyDNS",
    "VisualHostKey",
    "WarnWeakCrypto",
    "XAuthLocation",
};

/* Words that change where we connect or what the tunnel is, and that this version lacks; `off` is the value that asks
 * for nothing. */
static const struct {
    const char *word;
    const char *off;
} later_words[] = {
    {"ProxyJump", "none"},          {"ProxyCommand", "none"}, {"DynamicForward", NULL},
    {"CanonicalizeHostname", "no"}, {"BindInterface", NULL},  {"Tunnel", "no"},
};

static const char *const own_words[] = {"LocalForward", "RemoteForward", "IgnoreUnknown", "Include", "Host", "Match"};

void ssh_options_init(struct ssh_options *options)
{
    memset(options, 0, sizeof *options);
    settings_init(&options->settings);
}

void ssh_options_deinit(struct ssh_options *options)
{
    for (size_t i = 0; i < options->forward_count; i++) {
        forward_spec_deinit(&options->forwards[i]);
    }
    free(options->forwards);
    free(options->host);
    settings_deinit(&options->settings);
    string_list_deinit(&options->ignore_unknown);
    string_list_deinit(&options->warnings);
    memset(options, 0, sizeof *options);
}

static enum err out_of_memory(struct err_info *info)
{
    return err_set(info, ERR_MEMORY, "out of memory");
}

static bool is_foreign(const char *word)
{
    for (size_t i = 0; i < COUNT(foreign_words); i++) {
        if (text_equal_nocase(word, foreign_words[i])) {
            return true;
        }
    }
    return false;
}

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text_equal_nocase(word, words[i])) {
            return true;
        }
    }
    return false;
}

/* The index into later_words, or their count. */
static size_t find_later(const char *word)
{
    size_t i = 0;
    while (i < COUNT(later_words) && !text_equal_nocase(word, later_words[i].word)) {
        i++;
    }
    return i;
}

bool ssh_word_is_known(const char *word)
{
    return setting_find(DIALECT_SSH, word) != NULL || is_one_of(word, own_words, COUNT(own_words)) ||
           find_later(word) < COUNT(later_words) || is_foreign(word);
}

static enum err unknown_word(const char *word, struct err_info *info)
{
    const char *known[64];
    char shown[SHOWN_BYTES];
    size_t count = setting_words(DIALECT_SSH, known, COUNT(known) - 3);
    known[count++] = "LocalForward";
    known[count++] = "RemoteForward";
    known[count++] = "ProxyJump";
    const char *nearest = text_nearest(word, known, count);
    (void)text_shown(word, shown, sizeof shown);
    if (nearest != NULL) {
        return err_set(info, ERR_USAGE, "unknown option '%s'; did you mean '%s'?", shown, nearest);
    }
    return err_set(info, ERR_USAGE, "unknown option '%s'", shown);
}

/* --- one word --- */

/* Words whose value is made of several. */
static bool takes_many(const char *word)
{
    static const char *const words[] = {"UserKnownHostsFile", "GlobalKnownHostsFile"};
    return is_one_of(word, words, COUNT(words));
}

static char *join_values(const struct string_list *values, const char *between)
{
    char *joined = text_dup("", 0);
    for (size_t i = 0; joined != NULL && i < values->count; i++) {
        char *longer = text_format("%s%s%s", joined, i > 0 ? between : "", values->items[i]);
        free(joined);
        joined = longer;
    }
    return joined;
}

static enum err add_identity(struct ssh_options *options, const struct settings *layer, struct err_info *info)
{
    for (size_t i = 0; i < layer->host.identity_files.count; i++) {
        const char *file = layer->host.identity_files.items[i];
        bool there = false;
        for (size_t j = 0; j < options->settings.host.identity_files.count; j++) {
            there = there || strcmp(options->settings.host.identity_files.items[j], file) == 0;
        }
        if (!there && string_list_add(&options->settings.host.identity_files, file) != OK) {
            return out_of_memory(info);
        }
    }
    return OK;
}

static enum err apply_setting(struct ssh_options *options, const struct setting *setting, const char *word,
                              const struct string_list *values, struct err_info *info)
{
    struct settings layer;
    enum err result = OK;
    settings_init(&layer);
    if (text_equal_nocase(word, "RekeyLimit")) {
        char *joined = join_values(values, " ");
        result = joined == NULL ? out_of_memory(info) : settings_set(&layer, setting, DIALECT_SSH, NULL, joined, info);
        free(joined);
    } else if (values->count > 1 && !takes_many(word)) {
        char shown[SHOWN_BYTES];
        result = err_set(info, ERR_USAGE, "'%s' is too much; one value is expected",
                         text_shown(values->items[1], shown, sizeof shown));
    } else {
        for (size_t i = 0; result == OK && i < values->count; i++) {
            result = settings_set(&layer, setting, DIALECT_SSH, NULL, values->items[i], info);
        }
    }
    if (result == OK && text_equal_nocase(word, "IdentityFile")) {
        bool given = settings_has(&options->settings, setting);
        result = given ? add_identity(options, &layer, info) : OK;
    }
    if (result == OK && settings_merge(&options->settings, &layer) != OK) {
        result = out_of_memory(info);
    }
    settings_deinit(&layer);
    return result;
}

static enum err apply_forward(struct ssh_options *options, enum forward_type type, const struct string_list *values,
                              struct err_info *info)
{
    if (values->count > 2) {
        return err_set(info, ERR_USAGE, "more than two values");
    }
    char *joined = join_values(values, ":");
    enum err result = joined == NULL ? out_of_memory(info) : ssh_options_add_forward(options, type, joined, info);
    free(joined);
    return result;
}

/* What files and -o have in common. ERR_INTERNAL: the word is neither ours nor refused. */
static enum err apply(struct ssh_options *options, const char *word, const struct string_list *values,
                      struct err_info *info)
{
    const struct setting *setting = setting_find(DIALECT_SSH, word);
    size_t later = find_later(word);
    if (values->count == 0) {
        return err_set(info, ERR_USAGE, "a value is missing");
    }
    if (setting != NULL) {
        return apply_setting(options, setting, word, values, info);
    }
    if (text_equal_nocase(word, "LocalForward")) {
        return apply_forward(options, FORWARD_LOCAL, values, info);
    }
    if (text_equal_nocase(word, "RemoteForward")) {
        return apply_forward(options, FORWARD_REMOTE, values, info);
    }
    if (text_equal_nocase(word, "IgnoreUnknown")) {
        return string_list_add(&options->ignore_unknown, values->items[0]) == OK ? OK : out_of_memory(info);
    }
    if (later < COUNT(later_words)) {
        bool off = later_words[later].off != NULL && text_equal_nocase(values->items[0], later_words[later].off);
        return off ? OK : err_set(info, ERR_UNSUPPORTED, "not in this version");
    }
    return ERR_INTERNAL;
}

static bool is_ignored_unknown(const struct ssh_options *options, const char *word)
{
    for (size_t i = 0; i < options->ignore_unknown.count; i++) {
        if (text_match_list(options->ignore_unknown.items[i], ",", word)) {
            return true;
        }
    }
    return false;
}

/* Puts the word before what was wrong with its value. */
static enum err name_word(const char *word, enum err result, struct err_info *info)
{
    char shown[SHOWN_BYTES];
    struct err_info inner = *info;
    if (result == OK || result == ERR_MEMORY) {
        return result;
    }
    return err_set(info, result == ERR_DEFINITION ? ERR_USAGE : result, "%s: %.400s",
                   text_shown(word, shown, sizeof shown), inner.message);
}

enum err ssh_options_set_from_file(struct ssh_options *options, const char *word, const struct string_list *values,
                                   struct err_info *info)
{
    enum err result = apply(options, word, values, info);
    if (result != ERR_INTERNAL) {
        return name_word(word, result, info);
    }
    return is_foreign(word) || is_ignored_unknown(options, word) ? OK : unknown_word(word, info);
}

/* A word that does not concern tunnels may come with -o when it asks for nothing. */
static bool asks_for_nothing(const char *value)
{
    return text_equal_nocase(value, "no") || text_equal_nocase(value, "none") || text_equal_nocase(value, "false");
}

enum err ssh_options_set_line(struct ssh_options *options, const char *text, struct err_info *info)
{
    struct string_list values;
    char *word = NULL;
    struct err_info own;
    info = info == NULL ? &own : info;
    enum err result = ssh_line_split(text, &word, &values, info);
    if (result == OK && word == NULL) {
        result = err_set(info, ERR_USAGE, "an option is missing; write Option=value");
    } else if (result == OK) {
        static const char *const files_only[] = {"Include", "Host", "Match"};
        result = is_one_of(word, files_only, COUNT(files_only)) ? ERR_INTERNAL : apply(options, word, &values, info);
        if (result != ERR_INTERNAL) {
            result = name_word(word, result, info);
        } else if (is_foreign(word)) {
            result = asks_for_nothing(values.items[0])
                         ? OK
                         : name_word(word, err_set(info, ERR_UNSUPPORTED, "not in this version"), info);
        } else {
            result = is_ignored_unknown(options, word) ? OK : unknown_word(word, info);
        }
    }
    free(word);
    string_list_deinit(&values);
    return result;
}

enum err ssh_options_set(struct ssh_options *options, const char *word, const char *value, struct err_info *info)
{
    char *item = strdup(value);
    if (item == NULL) {
        return out_of_memory(info);
    }
    const struct string_list values = {.items = &item, .count = 1};
    enum err result = apply_setting(options, setting_find(DIALECT_SSH, word), word, &values, info);
    free(item);
    return result;
}

enum err ssh_options_add_forward(struct ssh_options *options, enum forward_type type, const char *text,
                                 struct err_info *info)
{
    struct forward_spec forward;
    enum err result = forward_parse_flag(type, text, &forward, info);
    if (result != OK) {
        return result;
    }
    result = forward_check_own_side(&forward, info);
    if (result != OK) {
        forward_spec_deinit(&forward);
        return result;
    }
    struct forward_spec *forwards = realloc(options->forwards, (options->forward_count + 1) * sizeof *forwards);
    if (forwards == NULL) {
        forward_spec_deinit(&forward);
        return out_of_memory(info);
    }
    options->forwards = forwards;
    forwards[options->forward_count++] = forward;
    return OK;
}

enum err ssh_options_set_destination(struct ssh_options *options, const char *text, struct err_info *info)
{
    char *user = NULL;
    char *host = NULL;
    uint16_t port = 0;
    enum err result = destination_parse(text, &user, &host, &port, info);
    if (result == OK && user != NULL) {
        result = ssh_options_set(options, "User", user, info);
    }
    if (result == OK && port != 0) {
        char *digits = text_format("%u", (unsigned)port);
        result = digits == NULL ? out_of_memory(info) : ssh_options_set(options, "Port", digits, info);
        free(digits);
    }
    if (result == OK) {
        free(options->host);
        options->host = host;
        host = NULL;
    }
    free(host);
    free(user);
    return result;
}
