/* A tunnel's life as a table of states and events (DESIGN section 7). Pure, room-internal. */
#ifndef HOLDFAST_TUNNEL_STATE_H
#define HOLDFAST_TUNNEL_STATE_H

#include "tunnel/tunnel.h"

enum tunnel_event {
    TUNNEL_EVENT_ATTEMPT = 0,    /* an attempt begins */
    TUNNEL_EVENT_CONNECTING,     /* a name resolved */
    TUNNEL_EVENT_HANDSHAKING,    /* a TCP connection stands */
    TUNNEL_EVENT_AUTHENTICATING, /* the host key is trusted */
    TUNNEL_EVENT_BINDING,        /* the session is ready */
    TUNNEL_EVENT_ALL_BOUND,      /* every forward is up */
    TUNNEL_EVENT_SOME_FAILED,    /* none is pending, at least one could not be bound */
    TUNNEL_EVENT_PORT_BUSY,      /* none is pending, and all that could not be bound are taken ports of the peer */
    TUNNEL_EVENT_FAULT,          /* the session is gone; try again later */
    TUNNEL_EVENT_HOPELESS,       /* the session is gone; trying again changes nothing */
    TUNNEL_EVENT_STOPPED,        /* all is closed */
    TUNNEL_EVENT_COUNT
};

/* The state that `event` leads to; `state` itself where it changes nothing. */
enum tunnel_state tunnel_next_state(enum tunnel_state state, enum tunnel_event event);

#endif
