/* What is wanted of one SSH session: plain data, filled by config/ from YAML or flags, read by session/. All strings
 * are heap memory owned by the struct (NULL means unset). Names follow ssh_config(5). */
#ifndef HOLDFAST_SESSION_SPEC_H
#define HOLDFAST_SESSION_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum host_key_policy {
    HOST_KEY_YES,        /* only keys that are known */
    HOST_KEY_ACCEPT_NEW, /* pin the first key of a host, refuse a changed one */
    HOST_KEY_NO,         /* take any key, warn when it changed */
    HOST_KEY_ASK         /* as YES, but ask at a terminal (the one-line form's default) */
};

struct string_list {
    char **items;
    size_t count;
};

struct host_spec {
    char *name;                           /* as the user wrote it: alias for messages */
    struct string_list hostnames;         /* addresses or names, tried in order; never empty */
    uint16_t port;                        /* 22 */
    char *user;                           /* never NULL after config/ has completed it */
    struct string_list identity_files;    /* private key files, absolute paths, in order */
    bool identity_files_are_default;      /* true: nobody asked for these; missing ones are skipped silently */
    bool identities_only;                 /* offer only these files' keys, even when the agent has more */
    char *identity_agent;                 /* its socket or pipe, or "pageant"; NULL: the system's; "none": no agent */
    char *passphrase_secret;              /* name of the stored secret that unlocks them; NULL: none */
    struct string_list known_hosts_files; /* absolute; the first is the one written to */
    enum host_key_policy strict_host_key_checking;
    char *host_key_alias; /* name to look up in known_hosts instead */
    bool hash_known_hosts;
    int address_family; /* 0 any, 4, 6 */
    char *bind_address; /* source address of the connection, or NULL */
    uint64_t
        connect_timeout_ms; /* whole of TCP connect, per attempt; 10000. Also the limit for banner..authentication */
    uint64_t server_alive_interval_ms; /* 15000; 0: off */
    unsigned server_alive_count_max;   /* 3 */
    bool tcp_keepalive;                /* true */
    bool compression;                  /* false */
    bool batch_mode;                   /* never prompt */
    bool password_authentication;      /* true: keyboard passwords may be asked at a terminal in the one-line form */
    char *ciphers;                     /* comma lists as ssh takes them, incl. leading + - ^; NULL: our defaults */
    char *macs;
    char *kex_algorithms;
    char *host_key_algorithms;
    uint64_t rekey_limit_bytes; /* 0: default */
    uint64_t rekey_limit_ms;    /* 0: none */
};

/* Deep copy, and freeing of what the struct owns (not the struct). host_spec_init sets the defaults above. */
void host_spec_init(struct host_spec *spec);
enum err host_spec_copy(struct host_spec *to, const struct host_spec *from);
void host_spec_deinit(struct host_spec *spec);
/* Whether both ask for the same session, in every field. What stands in the files that they name is not looked at. */
bool host_spec_equal(const struct host_spec *a, const struct host_spec *b);

enum err string_list_add(struct string_list *list, const char *text);
enum err string_list_copy(struct string_list *to, const struct string_list *from);
bool string_list_equal(const struct string_list *a, const struct string_list *b);
void string_list_deinit(struct string_list *list);

#endif
