/* Requests on channels: the command that runs on one, and its exit status (RFC 4254 sections 5.4, 6.5 and 6.10). */
#include <stdlib.h>

#include "session/mux_internal.h"

struct channel *mux_open_session(struct mux *mux, channel_open_cb *on_open, void *arg)
{
    struct wire_writer packet;
    struct channel *channel = mux_open_begin(mux, "session", &packet, on_open, arg);
    return channel != NULL ? mux_open_send(mux, channel, &packet) : NULL;
}

bool mux_exec(struct channel *channel, const char *command, mux_exec_cb *on_answer, void *arg)
{
    struct wire_writer packet;
    struct channel_exec *exec = calloc(1, sizeof *exec);
    if (exec == NULL) {
        return false;
    }
    exec->on_answer = on_answer;
    exec->arg = arg;
    exec->exit_status = -1;
    free(channel->exec);
    channel->exec = exec;
    if (channel->close_sent || channel->dead) {
        return true;
    }
    wire_writer_init(&packet);
    wire_write_u8(&packet, MSG_CHANNEL_REQUEST);
    wire_write_u32(&packet, channel->remote_id);
    mux_write_text(&packet, "exec");
    wire_write_u8(&packet, 1);
    mux_write_text(&packet, command);
    mux_queue(channel->mux, &packet);
    wire_writer_deinit(&packet);
    return true;
}

int64_t mux_exec_status(const struct channel *channel)
{
    return channel->exec != NULL ? channel->exec->exit_status : -1;
}

void mux_exec_incoming(struct mux *mux, struct channel *channel, struct wire_reader *reader)
{
    struct wire_slice name = wire_read_string(reader);
    bool want_reply = wire_read_u8(reader) != 0;
    if (channel == NULL || reader->bad) {
        return;
    }
    if (channel->exec != NULL && wire_slice_is(name, "exit-status")) {
        uint32_t status = wire_read_u32(reader);
        channel->exec->exit_status = reader->bad ? -1 : (int64_t)status;
    }
    if (want_reply && !channel->close_sent) {
        mux_queue_id(mux, MSG_CHANNEL_FAILURE, channel->remote_id);
    }
}

void mux_exec_reply(struct channel *channel, bool success)
{
    if (channel != NULL && channel->exec != NULL &&
        !channel->exec->answered) { /* else an answer to nothing: harmless */
        channel->exec->answered = true;
        channel->exec->runs = success;
        mux_make_ready(channel);
    }
}

void mux_exec_turn(struct channel *channel)
{
    struct channel_exec *exec = channel->exec;
    if (exec != NULL && exec->answered && !exec->told) {
        exec->told = true;
        exec->on_answer(exec->arg, exec->runs);
    }
}
