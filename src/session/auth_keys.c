/* Which keys to offer, in ssh's order: agent keys that an identity file names, the agent's others, then the files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "session/auth_internal.h"
#include "session/host_key.h"

static void load_files(struct auth *auth)
{
    const struct string_list *paths = &auth->spec->identity_files;
    auth->files = calloc(paths->count > 0 ? paths->count : 1, sizeof *auth->files);
    if (auth->files == NULL)
        return;
    for (size_t i = 0; i < paths->count; i++) {
        struct err_info info;
        struct key_file *file = &auth->files[auth->file_count];
        if (key_file_load(file, paths->items[i], &info) == OK) {
            auth->file_count++;
            continue;
        }
        if (!file->missing || !auth->spec->identity_files_are_default) {
            log_warning(auth->log_name, "identity file not used: %s", info.message);
            auth_note(auth, "%s", info.message);
        }
        key_file_deinit(file);
    }
}

static void load_agent(struct auth *auth)
{
    struct err_info info;
    auth->agent_path = auth_agent_path(auth->spec);
    if (auth->agent_path == NULL)
        return;
    enum err result = auth_agent_list(auth->agent_path, &auth->agent_keys, &info);
    if (result == OK)
        return;
    if (auth->spec->identity_agent != NULL || result == ERR_TIMEOUT)
        log_warning(auth->log_name, "no agent keys: %s", info.message);
    else
        log_debug(auth->log_name, "no agent keys: %s", info.message);
}

static struct key_file *file_of_agent_key(const struct auth *auth, const struct auth_agent_key *key)
{
    for (size_t i = 0; i < auth->file_count; i++) {
        struct key_file *file = &auth->files[i];
        if (file->public_key != NULL && file->public_key_len == key->len &&
            memcmp(file->public_key, key->blob, key->len) == 0)
            return file;
    }
    return NULL;
}

static bool is_candidate(const struct auth *auth, const struct key_file *file)
{
    for (size_t i = 0; i < auth->candidate_count; i++) {
        if (auth->candidates[i].file == file)
            return true;
    }
    return false;
}

static void add_agent_keys(struct auth *auth, bool named_by_files)
{
    for (size_t i = 0; i < auth->agent_keys.count; i++) {
        const struct auth_agent_key *key = &auth->agent_keys.items[i];
        struct key_file *file = file_of_agent_key(auth, key);
        if ((file != NULL) != named_by_files || !key_file_type_is_usable(key->blob, key->len))
            continue;
        struct auth_candidate *candidate = &auth->candidates[auth->candidate_count++];
        candidate->blob = key->blob;
        candidate->blob_len = key->len;
        candidate->in_agent = true;
        candidate->agent_key = key;
        candidate->file = file;
    }
}

void auth_keys_prepare(struct auth *auth)
{
    load_files(auth);
    load_agent(auth);
    auth->candidates = calloc(auth->file_count + auth->agent_keys.count + 1, sizeof *auth->candidates);
    if (auth->candidates == NULL)
        return;
    add_agent_keys(auth, true);
    if (!auth->spec->identities_only)
        add_agent_keys(auth, false);
    for (size_t i = 0; i < auth->file_count; i++) {
        struct key_file *file = &auth->files[i];
        if (is_candidate(auth, file))
            continue;
        if (file->text == NULL) {
            log_warning(auth->log_name, "%s has only the public half, and the agent does not have the private one",
                        file->path);
            auth_note(auth, "%s: the private half is missing, and not in the agent", file->path);
            continue;
        }
        struct auth_candidate *candidate = &auth->candidates[auth->candidate_count++];
        candidate->blob = file->public_key;
        candidate->blob_len = file->public_key_len;
        candidate->file = file;
    }
}

bool auth_keys_next(struct auth *auth)
{
    auth_password_wipe(&auth->passphrase);
    auth->passphrase_tries = 0;
    auth->secret = AUTH_SECRET_UNTRIED;
    for (size_t i = 0; i < auth->candidate_count; i++) {
        struct auth_candidate *candidate = &auth->candidates[i];
        if (candidate->offered || candidate->accepted)
            continue;
        candidate->offered = true;
        auth->current = candidate;
        if (candidate->blob == NULL) {
            auth_set_stage(auth, AUTH_STAGE_UNLOCK);
            return true;
        }
        /* RSA is probed first to learn whether it may be signed by SHA-2, an encrypted key to ask for no passphrase in
         * vain */
        bool is_rsa = wire_slice_is(wire_key_type(candidate->blob, candidate->blob_len), "ssh-rsa");
        bool probe = candidate->in_agent || candidate->file->encrypted || is_rsa;
        auth_set_stage(auth, probe ? AUTH_STAGE_PROBE : AUTH_STAGE_SIGN);
        return true;
    }
    return false;
}

void auth_keys_reset(struct auth *auth)
{
    for (size_t i = 0; i < auth->candidate_count; i++)
        auth->candidates[i].offered = false;
}

void auth_keys_deinit(struct auth *auth)
{
    for (size_t i = 0; i < auth->file_count; i++)
        key_file_deinit(&auth->files[i]);
    free(auth->files);
    free(auth->agent_path);
    free(auth->candidates);
    auth_agent_keys_deinit(&auth->agent_keys);
    auth_password_wipe(&auth->passphrase);
    auth_password_wipe(&auth->password);
}
