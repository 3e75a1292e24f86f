/* The keys of a forward beside its two ends: max_channels, probe, probe_interval. */
#include <string.h>

#include "config/loader.h"
#include "config/text.h"

enum { SHOWN_BYTES = 80, CHANNELS_MAX = 100000 };
#define INTERVAL_MIN_MS UINT64_C(1000)
#define INTERVAL_MAX_MS (UINT64_C(24) * 60 * 60 * 1000)

static void read_max_channels(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                              struct forward_spec *spec)
{
    char shown[SHOWN_BYTES];
    unsigned number = 0;
    const char *text = schema_scalar(loader, path, value);
    if (text == NULL) {
        return;
    }
    for (const char *at = text; *at >= '0' && *at <= '9' && number <= CHANNELS_MAX; at++) {
        number = number * 10 + (unsigned)(*at - '0');
    }
    if (strspn(text, "0123456789") != strlen(text) || number < 1 || number > CHANNELS_MAX) {
        loader_error(loader, loader_place(loader, value), path,
                     "'%s' is not a number from 1 to %d; leave the key out for no limit",
                     text_shown(text, shown, sizeof shown), CHANNELS_MAX);
        return;
    }
    spec->max_channels = number;
}

static void read_probe(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                       struct forward_spec *spec)
{
    char shown[SHOWN_BYTES];
    const char *text = schema_scalar(loader, path, value);
    if (text == NULL) {
        return;
    }
    if (strcmp(text, "off") == 0) {
        spec->probe = PROBE_OFF;
    } else if (strcmp(text, "tcp") == 0) {
        spec->probe = PROBE_TCP;
    } else if (strcmp(text, "loop") != 0) {
        loader_error(loader, loader_place(loader, value), path, "'%s' is not off, tcp or loop",
                     text_shown(text, shown, sizeof shown));
    } else if (spec->type != FORWARD_REMOTE) {
        loader_error(loader, loader_place(loader, value), path,
                     "only a remote forward leads back to us; a local one has 'probe: tcp'");
    } else {
        spec->probe = PROBE_LOOP;
    }
}

static void read_interval(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                          struct forward_spec *spec)
{
    loader_read_duration(loader, path, value, INTERVAL_MIN_MS, INTERVAL_MAX_MS, &spec->probe_interval_ms);
}

void loader_read_forward_keys(struct loader *loader, const struct key_path *path, const struct yaml_node *map,
                              struct forward_spec *spec)
{
    static const struct {
        const char *key;
        void (*read)(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                     struct forward_spec *spec);
    } keys[] = {{"max_channels", read_max_channels}, {"probe", read_probe}, {"probe_interval", read_interval}};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct yaml_node *value = schema_get(map, keys[i].key);
        struct key_path inner = {.up = path, .key = keys[i].key, .index = 0};
        if (value != NULL) {
            keys[i].read(loader, &inner, value, spec);
        }
    }
}

void loader_read_later(struct loader *loader, const struct key_path *path, const struct yaml_node *value, void *target)
{
    (void)loader;
    (void)path;
    (void)value;
    (void)target;
}

void loader_only_in_forward(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                            void *target)
{
    (void)target;
    loader_error(loader, loader_place(loader, value), path, "this is about one forward; it goes beside its 'to'");
}

void loader_only_in_tunnel(struct loader *loader, const struct key_path *path, const struct yaml_node *value,
                           void *target)
{
    (void)target;
    loader_error(loader, loader_place(loader, value), path, "this is about one tunnel; it goes under tunnels:");
}
