// link_versions: links every library that goes into holdfast.exe and uses each once, so that a cross build that cannot
// load on Windows 7 is seen before anything is built on it. Prints one line per library; exit code 0 when all of them
// work.
#include <jansson.h>
#include <libssh2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <uv.h>
#include <yaml.h>
#include <zlib.h>

int main(void)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int digest_bytes = 0;
    uv_loop_t loop;
    LIBSSH2_SESSION *session;
    json_t *object = json_object();
    int ok = object != NULL && uv_loop_init(&loop) == 0 && libssh2_init(0) == 0 &&
             EVP_Digest("holdfast", 8, digest, &digest_bytes, EVP_sha256(), NULL) == 1;
    if (!ok)
        return 1;
    session = libssh2_session_init_ex(NULL, NULL, NULL, NULL);
    ok = session != NULL && uv_run(&loop, UV_RUN_DEFAULT) == 0 && uv_loop_close(&loop) == 0;
    printf("libssh2 %s\n%s\nlibuv %s\nzlib %s\nlibyaml %s\njansson %s\n", libssh2_version(0),
           OpenSSL_version(OPENSSL_VERSION), uv_version_string(), zlibVersion(), yaml_get_version_string(),
           JANSSON_VERSION);
    if (session != NULL)
        libssh2_session_free(session);
    json_decref(object);
    libssh2_exit();
    return ok ? 0 : 1;
}
