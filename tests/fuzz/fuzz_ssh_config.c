/* ssh_config files, and each of their lines as an -o option. Build and run: see tests/fuzz/run. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/ssh_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ssh_options options;
    struct tunnel_spec spec;
    struct err_info info;
    char *line = malloc(size + 1);
    if (line == NULL) {
        return 0;
    }
    memcpy(line, data, size);
    line[size] = '\0';
    ssh_options_init(&options);
    if (ssh_options_set_destination(&options, "host", &info) == OK) {
        (void)ssh_options_set_line(&options, line, &info);
        if (ssh_config_parse(&options, (const char *)data, size, "config", NULL, &info) == OK &&
            ssh_options_complete(&options, &spec, &info) == OK) {
            tunnel_spec_deinit(&spec);
        }
    }
    ssh_options_deinit(&options);
    free(line);
    return 0;
}
