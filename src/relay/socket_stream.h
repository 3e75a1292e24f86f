/* A local socket (TCP or Unix) as a stream. */
#ifndef HOLDFAST_RELAY_SOCKET_STREAM_H
#define HOLDFAST_RELAY_SOCKET_STREAM_H

#include <uv.h>

#include "relay/stream.h"

struct socket_stream;

/* Wraps a connected handle from malloc (uv_tcp_t or uv_pipe_t), which it owns from then on, and frees in its close
 * callback. Begins frozen; see stream.h. Returns NULL (the handle still the caller's) when out of memory. */
struct socket_stream *socket_stream_new(uv_stream_t *handle);
/* Its stream side; freed by itself after on_closed. */
struct stream *socket_stream_of(struct socket_stream *socket);

#endif
