#include "forward/tokens.h"

#include <string.h>

static bool is_live(const struct token *token, uint64_t now_ms)
{
    return token->state == TOKEN_LATE ? now_ms - token->given_up_ms < TOKEN_LIFE_MS : token->state != TOKEN_NONE;
}

/* Which of two is to make room first; NULL: there is none yet. */
static struct token *less_wanted(struct token *a, struct token *b, uint64_t now_ms)
{
    if (a == NULL || !is_live(b, now_ms)) {
        return b;
    }
    return is_live(a, now_ms) && b->given_up_ms < a->given_up_ms ? b : a;
}

struct token *tokens_add(struct tokens *tokens, const char bytes[TOKEN_BYTES], uint64_t now_ms)
{
    struct token *place = NULL;
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        struct token *token = &tokens->ring[i];
        if (token->state != TOKEN_MADE && token->state != TOKEN_SENT) {
            place = less_wanted(place, token, now_ms);
        }
    }
    if (place != NULL) {
        *place = (struct token){.state = TOKEN_MADE, .made_ms = now_ms};
        memcpy(place->bytes, bytes, TOKEN_BYTES);
    }
    return place;
}

void token_sent(struct token *token, uint64_t now_ms)
{
    if (token->state == TOKEN_MADE) {
        token->state = TOKEN_SENT;
        token->sent_ms = now_ms;
    }
}

void token_give_up(struct token *token, uint64_t now_ms)
{
    if (token->state == TOKEN_SENT) {
        token->state = TOKEN_LATE;
        token->given_up_ms = now_ms;
    } else if (token->state == TOKEN_MADE) {
        token_forget(token);
    }
}

void token_forget(struct token *token)
{
    token->state = TOKEN_NONE;
}

void tokens_forget(struct tokens *tokens)
{
    *tokens = (struct tokens){0};
}

bool tokens_are_awaited(const struct tokens *tokens, uint64_t now_ms)
{
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        if (is_live(&tokens->ring[i], now_ms)) {
            return true;
        }
    }
    return false;
}

bool token_is_on_its_way(const struct token *token, uint64_t now_ms)
{
    bool is_sent = token->state == TOKEN_SENT || token->state == TOKEN_LATE;
    return is_sent && now_ms - token->sent_ms < 2 * (token->sent_ms - token->made_ms);
}

bool tokens_are_on_their_way(const struct tokens *tokens, uint64_t now_ms)
{
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        if (token_is_on_its_way(&tokens->ring[i], now_ms)) {
            return true;
        }
    }
    return false;
}

struct token *tokens_find(struct tokens *tokens, const char *said, size_t len, uint64_t now_ms)
{
    for (size_t i = 0; i < TOKENS_MAX; i++) {
        struct token *token = &tokens->ring[i];
        if (token->state != TOKEN_MADE && is_live(token, now_ms) && memcmp(token->bytes, said, len) == 0) {
            return token;
        }
    }
    return NULL;
}
