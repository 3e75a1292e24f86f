#include "session/key_pem.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

static int give_passphrase(char *buffer, int cap_bytes, int writing, void *arg)
{
    const char *passphrase = arg;
    size_t len = strlen(passphrase);
    (void)writing;
    if (cap_bytes < 0 || len > (size_t)cap_bytes)
        return -1;
    memcpy(buffer, passphrase, len); /* NOLINT(bugprone-not-null-terminated-result): OpenSSL wants the length alone */
    return (int)len;
}

static void write_number(struct wire_writer *out, const EVP_PKEY *key, const char *name)
{
    BIGNUM *number = NULL;
    uint8_t bytes[2048];
    if (EVP_PKEY_get_bn_param(key, name, &number) != 1 || BN_num_bytes(number) > (int)sizeof bytes)
        out->failed = true;
    else
        wire_write_mpint(out, bytes, (size_t)BN_bn2bin(number, bytes));
    BN_free(number);
}

static enum err write_ec(struct wire_writer *out, const EVP_PKEY *key)
{
    static const char *const curves[][3] = {
        {"prime256v1", "P-256", "nistp256"}, {"secp384r1", "P-384", "nistp384"}, {"secp521r1", "P-521", "nistp521"}};
    char group[64];
    uint8_t point[256];
    size_t len = 0;
    if (EVP_PKEY_get_group_name(key, group, sizeof group, &len) != 1 ||
        EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &len) != 1)
        return ERR_UNSUPPORTED;
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (strcmp(group, curves[i][0]) != 0 && strcmp(group, curves[i][1]) != 0)
            continue;
        char type[32];
        (void)snprintf(type, sizeof type, "ecdsa-sha2-%s", curves[i][2]);
        wire_write_string(out, type, strlen(type));
        wire_write_string(out, curves[i][2], strlen(curves[i][2]));
        wire_write_string(out, point, len);
        return OK;
    }
    return ERR_UNSUPPORTED;
}

static enum err write_public(struct wire_writer *out, const EVP_PKEY *key)
{
    uint8_t raw[64];
    size_t len = sizeof raw;
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        wire_write_string(out, "ssh-rsa", 7);
        write_number(out, key, OSSL_PKEY_PARAM_RSA_E);
        write_number(out, key, OSSL_PKEY_PARAM_RSA_N);
        return OK;
    case EVP_PKEY_EC: return write_ec(out, key);
    case EVP_PKEY_ED25519:
        if (EVP_PKEY_get_raw_public_key(key, raw, &len) != 1)
            return ERR_UNSUPPORTED;
        wire_write_string(out, "ssh-ed25519", 11);
        wire_write_string(out, raw, len);
        return OK;
    default: return ERR_UNSUPPORTED;
    }
}

enum err key_pem_public(const char *text, size_t len, const char *passphrase, struct wire_writer *out)
{
    enum err result = ERR_AUTH;
    EVP_PKEY *key = NULL;
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    if (bio == NULL)
        return ERR_MEMORY;
    key = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, (void *)passphrase);
    if (key != NULL)
        result = write_public(out, key);
    if (result == OK && out->failed)
        result = ERR_MEMORY;
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return result;
}
