#include "cli/args.h"

#include <string.h>

static enum arg_kind take_flag(struct args *args)
{
    args->flag = *args->cluster++;
    args->joined = *args->cluster != '\0' ? args->cluster : NULL;
    args->cluster = *args->cluster != '\0' ? args->cluster : NULL;
    args->kind = ARG_FLAG;
    return ARG_FLAG;
}

static enum arg_kind take_long(struct args *args, const char *word)
{
    const char *equals = strchr(word, '=');
    size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);
    len = len < sizeof args->name ? len : sizeof args->name - 1;
    memcpy(args->name, word, len);
    args->name[len] = '\0';
    args->text = args->name;
    args->joined = equals == NULL ? NULL : equals + 1;
    args->kind = ARG_LONG;
    return ARG_LONG;
}

enum arg_kind args_next(struct args *args)
{
    args->joined = NULL;
    if (args->cluster != NULL) {
        return take_flag(args);
    }
    if (args->index + 1 >= args->argc) {
        args->kind = ARG_END;
        return ARG_END;
    }
    const char *word = args->argv[++args->index];
    if (!args->operands_only && strcmp(word, "--") == 0) {
        args->operands_only = true;
        return args_next(args);
    }
    if (!args->operands_only && word[0] == '-' && word[1] == '-') {
        return take_long(args, word + 2);
    }
    if (!args->operands_only && word[0] == '-' && word[1] != '\0') {
        args->cluster = word + 1;
        return take_flag(args);
    }
    args->text = word;
    args->kind = ARG_OPERAND;
    return ARG_OPERAND;
}

const char *args_value(struct args *args)
{
    if (args->joined != NULL) {
        args->cluster = NULL;
        return args->joined;
    }
    if (args->index + 1 >= args->argc) {
        return NULL;
    }
    return args->argv[++args->index];
}

bool args_has_joined(const struct args *args)
{
    return args->joined != NULL;
}
