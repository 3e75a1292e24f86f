/* Endpoints, forward flags, destinations, durations and sizes. Build and run: see tests/fuzz/run. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "config/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct forward_spec forward;
    struct endpoint end;
    struct err_info info;
    char shown[700];
    char *user = NULL;
    char *host = NULL;
    uint16_t port = 0;
    uint64_t number = 0;
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    for (int type = FORWARD_LOCAL; type <= FORWARD_DIRECT; type++) {
        if (forward_parse_flag((enum forward_type)type, text, &forward, &info) == OK) {
            (void)forward_spec_text(&forward, 0, shown, sizeof shown);
            forward_spec_deinit(&forward);
        }
    }
    if (endpoint_parse_listen(text, true, &end, &info) == OK) {
        endpoint_deinit(&end);
    }
    if (endpoint_parse_target(text, &end, &info) == OK) {
        endpoint_deinit(&end);
    }
    if (destination_parse(text, &user, &host, &port, &info) == OK) {
        free(user);
        free(host);
    }
    (void)duration_parse(text, &number, &info);
    (void)duration_parse_ssh(text, &number, &info);
    (void)size_parse(text, &number, &info);
    (void)size_parse_ssh(text, &number, &info);
    free(text);
    return 0;
}
