#include "platform/agent.h"

enum err platform_agent_connect(const char *path, uint64_t timeout_ms, struct platform_agent **out,
                                struct err_info *info)
{
    (void)path;
    (void)timeout_ms;
    *out = NULL;
    return err_set(info, ERR_UNSUPPORTED, "ssh-agent on Windows: not in this version; use a key file");
}

enum err platform_agent_exchange(struct platform_agent *agent, const uint8_t *request, size_t request_len,
                                 size_t cap_bytes, uint64_t timeout_ms, uint8_t **out_answer, size_t *out_answer_len,
                                 struct err_info *info)
{
    (void)agent;
    (void)request;
    (void)request_len;
    (void)cap_bytes;
    (void)timeout_ms;
    *out_answer = NULL;
    *out_answer_len = 0;
    return err_set(info, ERR_UNSUPPORTED, "ssh-agent on Windows: not in this version");
}

void platform_agent_close(struct platform_agent *agent)
{
    (void)agent;
}
