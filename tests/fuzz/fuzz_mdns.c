/* Answers of multicast DNS, and names to ask for. The first byte says how many of the next are the name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "session/mdns_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mdns_addresses out = {.count = 0};
    uint8_t query[MDNS_QUERY_MAX_BYTES];
    char name[256];
    if (size == 0 || size - 1 < data[0]) {
        return 0;
    }
    size_t name_len = data[0];
    memcpy(name, data + 1, name_len);
    name[name_len] = '\0';
    data += 1 + name_len;
    size -= 1 + name_len;
    uint16_t id = size < 2 ? 0 : (uint16_t)((data[0] << 8) | data[1]);
    (void)mdns_is_local(name);
    if (mdns_encode_query(name, id, true, true, query) > sizeof query) {
        abort();
    }
    (void)mdns_parse_response(data, size, name, id, &out);
    if (out.count > MDNS_ADDRESSES_MAX) {
        abort();
    }
    return 0;
}
