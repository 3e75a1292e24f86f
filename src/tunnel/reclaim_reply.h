/* What the script at the peer answers (reclaim_script.h). Pure: nothing in it is trusted to be well-formed. */
#ifndef HOLDFAST_TUNNEL_RECLAIM_REPLY_H
#define HOLDFAST_TUNNEL_RECLAIM_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RECLAIM_PORTS_MAX = 64,     /* of one tunnel; more are not looked at */
    RECLAIM_PROCESSES_MAX = 8,  /* that may still be there from earlier sessions */
    RECLAIM_WORD_CAP_BYTES = 80 /* a boot identity or a start time, with its NUL */
};

/* A process of the peer, as proof of which one it is: under one boot no other has that pid and that start time. */
struct reclaim_process {
    uint32_t pid;
    char start[RECLAIM_WORD_CAP_BYTES];
};

enum reclaim_port_state { RECLAIM_PORT_UNKNOWN = 0, RECLAIM_PORT_FREE, RECLAIM_PORT_TAKEN };

struct reclaim_reply {
    char boot[RECLAIM_WORD_CAP_BYTES]; /* empty: the peer does not tell */
    bool has_user;
    uint32_t user; /* who we are there */
    bool has_serving;
    struct reclaim_process serving;
    bool serving_is_ours; /* its user is us, so that we may end it one day */
    struct {
        uint32_t pid;
        char word[16]; /* ended, killed, gone, reused, not_sshd, other_user, other_boot, serving, failed */
    } ends[RECLAIM_PROCESSES_MAX];
    size_t end_count;
    struct {
        uint16_t port;
        enum reclaim_port_state state;
        bool has_user;
        uint32_t user; /* who listens */
    } ports[RECLAIM_PORTS_MAX];
    size_t port_count;
};

/* Reads the answer out of everything the command printed; what a login shell printed before it is passed over. False:
 * it holds no whole answer. */
bool reclaim_reply_parse(const char *text, size_t len, struct reclaim_reply *out);

/* Whether `word` can be a boot identity or a start time: letters, digits, : . and - only, and not empty. */
bool reclaim_word_is_good(const char *word);
/* A whole number up to `max` without sign or leading zero. */
bool reclaim_number(const char *word, uint32_t max, uint32_t *out);

#endif
