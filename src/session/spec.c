#include "session/spec.h"

#include <stdlib.h>
#include <string.h>

#include "base/same_text.h"

enum err string_list_add(struct string_list *list, const char *text)
{
    char *copy = strdup(text);
    char **items = copy == NULL ? NULL : realloc(list->items, (list->count + 1) * sizeof *items);
    if (items == NULL) {
        free(copy);
        return ERR_MEMORY;
    }
    list->items = items;
    list->items[list->count++] = copy;
    return OK;
}

enum err string_list_copy(struct string_list *to, const struct string_list *from)
{
    memset(to, 0, sizeof *to);
    for (size_t i = 0; i < from->count; i++) {
        if (string_list_add(to, from->items[i]) != OK) {
            string_list_deinit(to);
            return ERR_MEMORY;
        }
    }
    return OK;
}

bool string_list_equal(const struct string_list *a, const struct string_list *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0) {
            return false;
        }
    }
    return a->count == b->count;
}

void string_list_deinit(struct string_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i]);
    }
    free(list->items);
    memset(list, 0, sizeof *list);
}

void host_spec_init(struct host_spec *spec)
{
    memset(spec, 0, sizeof *spec);
    spec->port = 22;
    spec->strict_host_key_checking = HOST_KEY_YES;
    spec->connect_timeout_ms = 10000;
    spec->server_alive_interval_ms = 15000;
    spec->server_alive_count_max = 3;
    spec->tcp_keepalive = true;
    spec->password_authentication = true;
}

/* The strings and the lists of a host_spec, so that copying, comparing and freeing cannot forget one. */
static const size_t string_offsets[] = {
    offsetof(struct host_spec, name),           offsetof(struct host_spec, user),
    offsetof(struct host_spec, identity_agent), offsetof(struct host_spec, passphrase_secret),
    offsetof(struct host_spec, host_key_alias), offsetof(struct host_spec, bind_address),
    offsetof(struct host_spec, ciphers),        offsetof(struct host_spec, macs),
    offsetof(struct host_spec, kex_algorithms), offsetof(struct host_spec, host_key_algorithms),
};
static const size_t list_offsets[] = {
    offsetof(struct host_spec, hostnames),
    offsetof(struct host_spec, identity_files),
    offsetof(struct host_spec, known_hosts_files),
};
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static void *member(struct host_spec *spec, size_t offset)
{
    return (char *)spec + offset;
}

static const void *const_member(const struct host_spec *spec, size_t offset)
{
    return (const char *)spec + offset;
}

enum err host_spec_copy(struct host_spec *to, const struct host_spec *from)
{
    *to = *from;
    for (size_t i = 0; i < COUNT(string_offsets); i++) {
        *(char **)member(to, string_offsets[i]) = NULL;
    }
    for (size_t i = 0; i < COUNT(list_offsets); i++) {
        memset(member(to, list_offsets[i]), 0, sizeof(struct string_list));
    }
    for (size_t i = 0; i < COUNT(string_offsets); i++) {
        const char *text = *(char *const *)const_member(from, string_offsets[i]);
        char **copy = member(to, string_offsets[i]);
        if (text != NULL && (*copy = strdup(text)) == NULL) {
            goto out;
        }
    }
    for (size_t i = 0; i < COUNT(list_offsets); i++) {
        if (string_list_copy(member(to, list_offsets[i]), const_member(from, list_offsets[i])) != OK) {
            goto out;
        }
    }
    return OK;
out:
    host_spec_deinit(to);
    return ERR_MEMORY;
}

static bool same_values(const struct host_spec *a, const struct host_spec *b)
{
    return a->port == b->port && a->identity_files_are_default == b->identity_files_are_default &&
           a->identities_only == b->identities_only && a->strict_host_key_checking == b->strict_host_key_checking &&
           a->hash_known_hosts == b->hash_known_hosts && a->address_family == b->address_family &&
           a->connect_timeout_ms == b->connect_timeout_ms &&
           a->server_alive_interval_ms == b->server_alive_interval_ms &&
           a->server_alive_count_max == b->server_alive_count_max && a->tcp_keepalive == b->tcp_keepalive &&
           a->compression == b->compression && a->batch_mode == b->batch_mode &&
           a->password_authentication == b->password_authentication && a->rekey_limit_bytes == b->rekey_limit_bytes &&
           a->rekey_limit_ms == b->rekey_limit_ms;
}

bool host_spec_equal(const struct host_spec *a, const struct host_spec *b)
{
    for (size_t i = 0; i < COUNT(string_offsets); i++) {
        if (!same_text(*(char *const *)const_member(a, string_offsets[i]),
                       *(char *const *)const_member(b, string_offsets[i]))) {
            return false;
        }
    }
    for (size_t i = 0; i < COUNT(list_offsets); i++) {
        if (!string_list_equal(const_member(a, list_offsets[i]), const_member(b, list_offsets[i]))) {
            return false;
        }
    }
    return same_values(a, b);
}

void host_spec_deinit(struct host_spec *spec)
{
    for (size_t i = 0; i < COUNT(string_offsets); i++) {
        free(*(char **)member(spec, string_offsets[i]));
    }
    for (size_t i = 0; i < COUNT(list_offsets); i++) {
        string_list_deinit(member(spec, list_offsets[i]));
    }
    memset(spec, 0, sizeof *spec);
}
