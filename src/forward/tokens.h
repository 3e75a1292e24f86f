/* The tokens of a -R forward's loops: that of the one that runs, and those of loops that were given up, which may still
 * come back. Pure.
 *
 * A token that was never sent is forgotten with its loop. One that was sent is remembered for TOKEN_LIFE_MS after its
 * loop was given up: by then a session over which nothing comes is given up as well (server_alive_interval). */
#ifndef HOLDFAST_FORWARD_TOKENS_H
#define HOLDFAST_FORWARD_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TOKEN_BYTES = 16, TOKENS_MAX = 8, TOKEN_LIFE_MS = 60000 };

enum token_state {
    TOKEN_NONE = 0,
    TOKEN_MADE, /* its loop runs, and has not sent it yet */
    TOKEN_SENT, /* its loop runs */
    TOKEN_LATE  /* its loop was given up */
};

struct token {
    enum token_state state;
    char bytes[TOKEN_BYTES];
    uint64_t made_ms, sent_ms, given_up_ms;
};

/* Zero: none. */
struct tokens {
    struct token ring[TOKENS_MAX];
};

/* A loop begins. The token that was given up first makes room where there is none, never that of a loop that runs.
 * NULL: so many run. */
struct token *tokens_add(struct tokens *tokens, const char bytes[TOKEN_BYTES], uint64_t now_ms);
void token_sent(struct token *token, uint64_t now_ms);
/* Its loop is given up. */
void token_give_up(struct token *token, uint64_t now_ms);
/* It came back. */
void token_forget(struct token *token);
void tokens_forget(struct tokens *tokens);

/* Whether one of them may come, so that connections are to be told apart from it. */
bool tokens_are_awaited(const struct tokens *tokens, uint64_t now_ms);
/* Whether it can still be on its way: it left when the peer had answered, and comes back a round trip later, as that
 * answer did. */
bool token_is_on_its_way(const struct token *token, uint64_t now_ms);
bool tokens_are_on_their_way(const struct tokens *tokens, uint64_t now_ms);
/* The token that begins with these 1 to TOKEN_BYTES bytes; NULL: none does that was sent. */
struct token *tokens_find(struct tokens *tokens, const char *said, size_t len, uint64_t now_ms);

#endif
