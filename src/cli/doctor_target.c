/* The target of a forward: where it is, and for a -R whether it answers from here. */
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "forward/asker.h"
#include "session/dial.h"

enum { ALL_MS = 24 * 3600 * 1000 };

/* ---- where it is ---- */

struct question {
    bool is_answered, is_closed;
    bool is_known;
    struct answer answer;
    struct err_info why;
};

static void on_answer(void *arg, const struct answer *answer, const struct err_info *why)
{
    struct question *question = arg;
    question->is_answered = true;
    if (answer != NULL) {
        question->is_known = true;
        question->answer = *answer;
    } else {
        question->why = *why;
    }
}

static void on_asker_closed(void *arg)
{
    struct question *question = arg;
    question->is_closed = true;
}

bool doctor_target_ask(struct doctor *doctor, const struct endpoint *to, struct answer *out)
{
    static const char *const marks[] = {"; run ",   "; write ",         "; make ", "; print ",
                                        "; raise ", "; distributions ", "; 'wsl "};
    struct question question = {.is_known = false};
    struct asker_wait wait = {.on_answer = on_answer, .arg = &question};
    const struct asker_options options = {.to = to,
                                          .log_name = doctor->tunnel->name,
                                          .timeout_ms = doctor_limit_ms(doctor),
                                          .on_closed = on_asker_closed,
                                          .arg = &question};
    struct asker *asker = asker_new(&doctor->loop, &options);
    if (asker == NULL) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "target", NULL, "out of memory");
        return false;
    }
    asker_start(asker, &wait);
    (void)doctor_wait(doctor, &question.is_answered, ALL_MS); /* the asker has the limit */
    asker_close(asker);
    (void)doctor_wait(doctor, &question.is_closed, ALL_MS);
    if (!question.is_known) {
        char seen[sizeof question.why.message];
        char mend[sizeof question.why.message];
        doctor_split(question.why.message, marks, sizeof marks / sizeof marks[0],
                     "run the command by hand to see what it prints", seen, mend, sizeof seen);
        doctor_report_add(doctor->report, DOCTOR_FAIL, "target", mend, "%s", seen);
        return false;
    }
    *out = question.answer;
    return true;
}

/* ---- whether it answers ---- */

struct dialing {
    bool is_done;
    uv_tcp_t *tcp;
    int status;
    char *tried;
    size_t cap_bytes;
    struct err_info why;
};

static void on_free(uv_handle_t *handle)
{
    free(handle);
}

static void on_no_connection(void *arg, const char *host, const struct sockaddr *address, int status)
{
    struct dialing *dialing = arg;
    char text[80];
    dialing->status = status;
    doctor_append(dialing->tried, dialing->cap_bytes, "; ", "%s: %s",
                  address != NULL ? dial_address_text(address, text, sizeof text) : host, doctor_refusal_text(status));
}

static void on_dialed(void *arg, uv_tcp_t *tcp, const struct dial_result *result, const struct err_info *why)
{
    struct dialing *dialing = arg;
    (void)result;
    dialing->tcp = tcp;
    if (tcp == NULL) {
        dialing->why = *why;
    }
    dialing->is_done = true;
}

int doctor_target_dial(struct doctor *doctor, const char *host, uint16_t port, uv_stream_t **out, char *tried,
                       size_t cap_bytes)
{
    struct dialing dialing = {.tried = tried, .cap_bytes = cap_bytes};
    const char *const hosts[] = {host};
    const struct dial_options options = {
        .hosts = hosts, .host_count = 1, .port = port, .timeout_ms = doctor_limit_ms(doctor)};
    const struct dial_events events = {.on_no_connection = on_no_connection, .on_done = on_dialed, .arg = &dialing};
    tried[0] = '\0';
    uv_update_time(&doctor->loop);
    if (dial_start(&doctor->loop, &options, &events) == NULL) {
        (void)snprintf(tried, cap_bytes, "out of memory");
        return UV_ENOMEM;
    }
    (void)doctor_wait(doctor, &dialing.is_done, ALL_MS); /* the dial has the limit */
    if (dialing.tcp == NULL) {
        if (tried[0] == '\0') {
            (void)snprintf(tried, cap_bytes, "%s", dialing.why.message);
        }
        return dialing.status != 0 ? dialing.status : UV_ECONNABORTED;
    }
    if (out != NULL) {
        *out = (uv_stream_t *)dialing.tcp;
    } else {
        uv_close((uv_handle_t *)dialing.tcp, on_free);
    }
    return 0;
}

static const char *target_mend(enum doctor_situation situation, int status)
{
    const char *particular = doctor_situation_mend(situation);
    if (particular != NULL) {
        return particular;
    }
    switch (status) {
    case UV_ECONNREFUSED:
        return "start the server there, and see that it listens on that address and not on its loopback "
               "alone";
    case UV_ETIMEDOUT: return "see that the target is on and that its firewall lets this machine in";
    case UV_EHOSTUNREACH: return "see that the target is on and has this address now";
    case UV_ENETUNREACH: return "this machine is not in the target's network: add a network card or a route to it";
    case UV_EAI_NONAME:
    case UV_EAI_AGAIN:
    case UV_EAI_NODATA: return "correct the name in to:, or write the address";
    default: return "see that the target is on and answers this machine";
    }
}

static void judge_tcp(struct doctor *doctor, const char *who, const char *host, uint16_t port)
{
    char tried[600];
    struct doctor_look look;
    uv_stream_t *stream = NULL;
    enum doctor_situation situation = doctor_situation(doctor, host);
    const char *where = doctor_situation_text(situation);
    int status = doctor_target_dial(doctor, host, port, &stream, tried, sizeof tried);
    if (status != 0) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "target", target_mend(situation, status), "from here, %s%s%s",
                          tried, where[0] != '\0' ? "; it is in " : "", where);
        return;
    }
    doctor_look_at(doctor, stream, &look);
    doctor_look_judge(doctor, "target", who, doctor_situation_if_reached(situation), &look);
}

/* ---- a socket's path ---- */

struct pipe_connect {
    uv_connect_t req;
    bool is_done;
    int status;
};

static void on_pipe_connected(uv_connect_t *req, int status)
{
    struct pipe_connect *connect = req->data;
    connect->is_done = true;
    connect->status = status;
}

static void judge_unix(struct doctor *doctor, const char *path)
{
    struct pipe_connect connect = {.is_done = false};
    struct doctor_look look;
    uv_pipe_t *pipe = malloc(sizeof *pipe);
    if (pipe == NULL || uv_pipe_init(&doctor->loop, pipe, 0) != 0) {
        free(pipe);
        doctor_report_add(doctor->report, DOCTOR_FAIL, "target", NULL, "out of memory");
        return;
    }
    connect.req.data = &connect;
    uv_pipe_connect(&connect.req, pipe, path, on_pipe_connected);
    (void)doctor_wait(doctor, &connect.is_done, ALL_MS); /* it is decided at once on one machine */
    if (connect.status != 0) {
        uv_close((uv_handle_t *)pipe, on_free);
        doctor_report_add(doctor->report, DOCTOR_FAIL, "target",
                          connect.status == UV_EACCES ? "let this user use the socket"
                                                      : "start the server that makes the socket, or correct its path",
                          "%s: %s", path, err_uv_text(connect.status));
        return;
    }
    doctor_look_at(doctor, (uv_stream_t *)pipe, &look);
    doctor_look_judge(doctor, "target", path, DOCTOR_PLAIN, &look);
}

void doctor_target(struct doctor *doctor, const struct forward_spec *forward)
{
    char who[700];
    struct answer answer;
    const struct endpoint *to = &forward->to;
    (void)endpoint_text(to, who, sizeof who);
    if (to->kind == ENDPOINT_UNIX) {
        judge_unix(doctor, to->path);
    } else if (!endpoint_moves(to)) {
        judge_tcp(doctor, who, to->host, to->port);
    } else if (doctor_target_ask(doctor, to, &answer)) {
        doctor_append(who, sizeof who, " ", "(now %s:%u)", answer.host, (unsigned)answer.port);
        judge_tcp(doctor, who, answer.host, answer.port);
    }
}
