/* One byte stream with two directions: a local socket or an SSH channel. The relay joins two of them.
 *
 * Life: the owner sets `events` and `owner`, then calls resume. Input is pushed by on_input until the owner takes less
 * than offered; the stream keeps the rest, stops, and offers it again after resume. Output is taken by write as far as
 * there is room; after a short write on_writable comes once when there is room again. end() sends our end of stream
 * after all that was written. Exactly one on_closed ends the life, after close() or abort(); memory goes in or after
 * it. Only resume (on_input) and end (on_output_end) may call back from inside themselves. After close or abort nothing
 * but on_closed comes. All on the loop's thread. */
#ifndef HOLDFAST_RELAY_STREAM_H
#define HOLDFAST_RELAY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"

struct stream;

struct stream_events {
    /* How many bytes on_input would take now; a stream reads no more than about that. Zero: none; nothing is read until
     * resume, which comes once there is room. */
    size_t (*room)(void *owner);
    /* Where the bytes of one read should lie, so that they need not be copied: at most *out_cap_bytes. NULL: anywhere.
     * Good until anything else of the owner is called, which must be on_input with those bytes if any came. May be
     * missing. */
    uint8_t *(*place)(void *owner, size_t *out_cap_bytes);
    /* Offers bytes (never zero); returns how many were taken. Taking fewer freezes the input until resume. */
    size_t (*on_input)(void *owner, const uv_buf_t *bufs, unsigned buf_count);
    /* The other side's end of stream: no more on_input. */
    void (*on_input_end)(void *owner);
    /* There is room again after a short write. */
    void (*on_writable)(void *owner);
    /* end() has taken effect: everything written has left towards the other side. */
    void (*on_output_end)(void *owner);
    /* The stream can carry nothing more in either direction: reset (why->code ERR_CLOSED...), or the peer's close after
     * its end. The owner answers with close or abort. */
    void (*on_failed)(void *owner, const struct err_info *why);
    void (*on_closed)(void *owner);
};

struct stream_ops {
    size_t (*write)(struct stream *stream, const uv_buf_t *bufs, unsigned buf_count);
    void (*end)(struct stream *stream);
    void (*resume)(struct stream *stream);
    void (*freeze)(struct stream *stream);
    void (*close)(struct stream *stream);
    void (*abort)(struct stream *stream);
    /* How many bytes write would take now, SIZE_MAX for as many as one likes. Zero: none, and on_writable comes once
     * there is room. One that has little to say may be told of a little more room than there is, to have it at hand. */
    size_t (*room)(struct stream *stream);
    /* As place() of stream_events, for bytes that write is given. May be missing. */
    uint8_t *(*place)(struct stream *stream, size_t *out_cap_bytes);
    /* How many of the bytes taken by write have not left yet. */
    size_t (*unsent)(const struct stream *stream);
};

struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *owner;
};

#endif
