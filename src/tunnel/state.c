#include "tunnel/state.h"

/* 0 (TUNNEL_STOPPED) would be a valid entry, so entries are stored plus one and 0 means "stays". */
#define TO(state) ((unsigned char)((state) + 1))

static const unsigned char table[TUNNEL_PORT_BUSY + 1][TUNNEL_EVENT_COUNT] = {
    [TUNNEL_STOPPED] = {[TUNNEL_EVENT_ATTEMPT] = TO(TUNNEL_RESOLVING), [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED)},
    [TUNNEL_RESOLVING] = {[TUNNEL_EVENT_CONNECTING] = TO(TUNNEL_CONNECTING),
                          [TUNNEL_EVENT_HANDSHAKING] = TO(TUNNEL_HANDSHAKING),
                          [TUNNEL_EVENT_FAULT] = TO(TUNNEL_WAITING),
                          [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                          [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_CONNECTING] = {[TUNNEL_EVENT_HANDSHAKING] = TO(TUNNEL_HANDSHAKING),
                           [TUNNEL_EVENT_FAULT] = TO(TUNNEL_WAITING),
                           [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                           [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_HANDSHAKING] = {[TUNNEL_EVENT_AUTHENTICATING] = TO(TUNNEL_AUTHENTICATING),
                            [TUNNEL_EVENT_FAULT] = TO(TUNNEL_WAITING),
                            [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                            [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_AUTHENTICATING] = {[TUNNEL_EVENT_BINDING] = TO(TUNNEL_BINDING),
                               [TUNNEL_EVENT_FAULT] = TO(TUNNEL_WAITING),
                               [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                               [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_BINDING] = {[TUNNEL_EVENT_ALL_BOUND] = TO(TUNNEL_UP),
                        [TUNNEL_EVENT_SOME_FAILED] = TO(TUNNEL_DEGRADED),
                        [TUNNEL_EVENT_PORT_BUSY] = TO(TUNNEL_PORT_BUSY),
                        [TUNNEL_EVENT_FAULT] = TO(TUNNEL_WAITING),
                        [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                        [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_UP] = {[TUNNEL_EVENT_SOME_FAILED] = TO(TUNNEL_DEGRADED),
                   [TUNNEL_EVENT_PORT_BUSY] = TO(TUNNEL_PORT_BUSY),
                   [TUNNEL_EVENT_FAULT] = TO(TUNNEL_WAITING),
                   [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                   [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_DEGRADED] = {[TUNNEL_EVENT_ALL_BOUND] = TO(TUNNEL_UP),
                         [TUNNEL_EVENT_PORT_BUSY] = TO(TUNNEL_PORT_BUSY),
                         [TUNNEL_EVENT_FAULT] = TO(TUNNEL_WAITING),
                         [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                         [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_PORT_BUSY] = {[TUNNEL_EVENT_ALL_BOUND] = TO(TUNNEL_UP),
                          [TUNNEL_EVENT_SOME_FAILED] = TO(TUNNEL_DEGRADED),
                          [TUNNEL_EVENT_FAULT] = TO(TUNNEL_WAITING),
                          [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                          [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_WAITING] = {[TUNNEL_EVENT_ATTEMPT] = TO(TUNNEL_RESOLVING),
                        [TUNNEL_EVENT_HOPELESS] = TO(TUNNEL_FAILED),
                        [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
    [TUNNEL_FAILED] = {[TUNNEL_EVENT_ATTEMPT] = TO(TUNNEL_RESOLVING), [TUNNEL_EVENT_STOPPED] = TO(TUNNEL_STOPPED)},
};

enum tunnel_state tunnel_next_state(enum tunnel_state state, enum tunnel_event event)
{
    unsigned char entry = table[state][event];
    return entry == 0 ? state : (enum tunnel_state)(entry - 1);
}

const char *tunnel_state_name(enum tunnel_state state)
{
    static const char *const names[] = {
        [TUNNEL_STOPPED] = "stopped",
        [TUNNEL_RESOLVING] = "resolving",
        [TUNNEL_CONNECTING] = "connecting",
        [TUNNEL_HANDSHAKING] = "handshaking",
        [TUNNEL_AUTHENTICATING] = "authenticating",
        [TUNNEL_BINDING] = "binding",
        [TUNNEL_UP] = "up",
        [TUNNEL_DEGRADED] = "degraded",
        [TUNNEL_WAITING] = "waiting",
        [TUNNEL_FAILED] = "failed",
        [TUNNEL_PORT_BUSY] = "port_busy",
    };
    return names[state];
}
