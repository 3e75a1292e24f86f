/* What the rooms above ask of a session's connection layer: listeners on the peer, and channels to its side. */
#include "session/internal.h"

void session_listen(struct session *session, const char *bind_host, uint16_t port, session_reply_cb *on_reply,
                    void *arg)
{
    mux_forward_request(session->mux, "tcpip-forward", bind_host, true, port, on_reply, arg);
}

void session_listen_unix(struct session *session, const char *path, session_reply_cb *on_reply, void *arg)
{
    mux_forward_request(session->mux, "streamlocal-forward@openssh.com", path, false, 0, on_reply, arg);
}

void session_unlisten(struct session *session, const char *bind_host, uint16_t port, session_reply_cb *on_reply,
                      void *arg)
{
    mux_forward_request(session->mux, "cancel-tcpip-forward", bind_host, true, port, on_reply, arg);
}

void session_unlisten_unix(struct session *session, const char *path, session_reply_cb *on_reply, void *arg)
{
    mux_forward_request(session->mux, "cancel-streamlocal-forward@openssh.com", path, false, 0, on_reply, arg);
}

struct channel *session_open_tcp(struct session *session, const char *host, uint16_t port, const char *originator_host,
                                 uint16_t originator_port, channel_open_cb *on_open, void *arg)
{
    return mux_open_tcp(session->mux, host, port, originator_host, originator_port, on_open, arg);
}

struct channel *session_open_unix(struct session *session, const char *path, channel_open_cb *on_open, void *arg)
{
    return mux_open_unix(session->mux, path, on_open, arg);
}
