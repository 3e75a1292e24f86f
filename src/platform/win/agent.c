/* Which agents Windows has, and one exchange with either kind. */
#include "platform/agent.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "platform/win/agent_pageant.h"
#include "platform/win/agent_pipe.h"

#define PAGEANT "pageant"
#define OPENSSH_PIPE "\\\\.\\pipe\\openssh-ssh-agent"

struct platform_agent {
    HWND window; /* NULL: the pipe */
    struct win_agent_pipe pipe;
};

/* The name of Pageant's pipe when somebody serves it, else NULL. */
static char *pageant_pipe(void)
{
    char *name = win_pageant_pipe_name();
    if (name != NULL && !win_agent_pipe_exists(name)) {
        free(name);
        name = NULL;
    }
    return name;
}

static bool pageant_is_there(void)
{
    HWND window = NULL;
    char *name = pageant_pipe();
    bool by_pipe = name != NULL;
    free(name);
    return by_pipe || (win_pageant_window(&window, NULL) == OK && window != NULL);
}

char *platform_agent_default(void)
{
    char *named = win_environment(L"SSH_AUTH_SOCK");
    if (named != NULL && win_agent_pipe_is_name(named)) {
        return named;
    }
    free(named); /* a socket of Cygwin's or MSYS's, which only their programs can open */
    if (win_agent_pipe_exists(OPENSSH_PIPE)) {
        return _strdup(OPENSSH_PIPE);
    }
    return pageant_is_there() ? _strdup(PAGEANT) : NULL;
}

bool platform_agent_is_address(const char *text)
{
    return _stricmp(text, PAGEANT) == 0 || win_agent_pipe_is_name(text);
}

static enum err connect_pageant(struct platform_agent *agent, uint64_t deadline_ns, struct err_info *info)
{
    char *name = pageant_pipe();
    enum err result = OK;
    if (name != NULL) {
        result = win_agent_pipe_open(&agent->pipe, name, deadline_ns, info);
    } else {
        result = win_pageant_window(&agent->window, info);
        if (result == OK && agent->window == NULL) {
            result = err_set(info, ERR_CONNECT, "no agent: Pageant does not run");
        }
    }
    free(name);
    return result;
}

enum err platform_agent_connect(const char *path, uint64_t timeout_ms, struct platform_agent **out,
                                struct err_info *info)
{
    uint64_t deadline_ns = uv_hrtime() + timeout_ms * 1000000U;
    enum err result = OK;
    *out = NULL;
    struct platform_agent *agent = calloc(1, sizeof *agent);
    if (agent == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    if (_stricmp(path, PAGEANT) == 0) {
        result = connect_pageant(agent, deadline_ns, info);
    } else if (win_agent_pipe_is_name(path)) {
        result = win_agent_pipe_open(&agent->pipe, path, deadline_ns, info);
    } else {
        result = err_set(info, ERR_UNSUPPORTED,
                         "%.200s is no agent of Windows: name a pipe, such as " OPENSSH_PIPE ", or " PAGEANT, path);
    }
    if (result != OK) {
        platform_agent_close(agent);
        return result;
    }
    *out = agent;
    return OK;
}

static enum err exchange_by_pipe(struct win_agent_pipe *pipe, const uint8_t *request, size_t request_len,
                                 size_t cap_bytes, uint64_t deadline_ns, uint8_t **out_answer, size_t *out_answer_len,
                                 struct err_info *info)
{
    uint8_t head[4] = {(uint8_t)(request_len >> 24), (uint8_t)(request_len >> 16), (uint8_t)(request_len >> 8),
                       (uint8_t)request_len};
    enum err result = win_agent_pipe_write(pipe, head, sizeof head, deadline_ns, info);
    if (result == OK) {
        result = win_agent_pipe_write(pipe, request, request_len, deadline_ns, info);
    }
    if (result == OK) {
        result = win_agent_pipe_read(pipe, head, sizeof head, deadline_ns, info);
    }
    if (result != OK) {
        return result;
    }
    size_t len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (len == 0 || len > cap_bytes) {
        return err_set(info, ERR_PROTOCOL, "the agent's answer of %zu bytes is out of bounds", len);
    }
    uint8_t *answer = malloc(len);
    if (answer == NULL) {
        return err_set(info, ERR_MEMORY, "out of memory");
    }
    result = win_agent_pipe_read(pipe, answer, len, deadline_ns, info);
    if (result != OK) {
        free(answer);
        return result;
    }
    *out_answer = answer;
    *out_answer_len = len;
    return OK;
}

enum err platform_agent_exchange(struct platform_agent *agent, const uint8_t *request, size_t request_len,
                                 size_t cap_bytes, uint64_t timeout_ms, uint8_t **out_answer, size_t *out_answer_len,
                                 struct err_info *info)
{
    *out_answer = NULL;
    *out_answer_len = 0;
    if (agent->window != NULL) {
        return win_pageant_exchange(agent->window, request, request_len, cap_bytes, timeout_ms, out_answer,
                                    out_answer_len, info);
    }
    return exchange_by_pipe(&agent->pipe, request, request_len, cap_bytes, uv_hrtime() + timeout_ms * 1000000U,
                            out_answer, out_answer_len, info);
}

void platform_agent_close(struct platform_agent *agent)
{
    if (agent == NULL) {
        return;
    }
    win_agent_pipe_close(&agent->pipe);
    free(agent);
}
