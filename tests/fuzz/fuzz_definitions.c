/* Definitions from the bytes of a file to the tunnels. Build and run: see tests/fuzz/run. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"fuzz_definitions.input.yaml"};
    struct config config;
    struct config_errors errors;
    FILE *file = fopen(paths[0], "wb");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        abort();
    }
    /* Either there is a whole configuration or there is an error to read. */
    if ((config_load(paths, 1, &config, &errors) == OK) != (errors.count == 0)) {
        abort();
    }
    config_deinit(&config);
    config_errors_deinit(&errors);
    return 0;
}
