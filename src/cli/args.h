/* Command line words one by one, with flags clustered and joined to their values as getopt(3) has them. */
#ifndef HOLDFAST_CLI_ARGS_H
#define HOLDFAST_CLI_ARGS_H

#include <stdbool.h>

enum arg_kind {
    ARG_END,    /* no more words */
    ARG_FLAG,   /* -x; `flag` */
    ARG_LONG,   /* --name[=value]; `text` is the name */
    ARG_OPERAND /* `text` */
};

/* Zero but for argc and argv; argv[0] is skipped. Strings belong to argv, but for `text` of ARG_LONG, which lives until
 * the next call. */
struct args {
    int argc;
    char **argv;
    int index;           /* of the word last taken */
    const char *cluster; /* the rest of a word of flags */
    const char *joined;  /* the value behind -x or --name= */
    bool operands_only;  /* -- has been seen */
    enum arg_kind kind;
    char flag;
    const char *text;
    char name[32];
};

/* Takes the next one into kind, flag, text. */
enum arg_kind args_next(struct args *args);
/* The value of the flag or long option just taken: what is joined to it, or the next word. NULL when there is none. */
const char *args_value(struct args *args);
/* True when a value is joined to the long option just taken ("--once=1"). */
bool args_has_joined(const struct args *args);

#endif
