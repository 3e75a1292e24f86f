/* What `doctor` found of one tunnel, hop by hop, and how it is shown. Pure but for the printing. */
#ifndef HOLDFAST_CLI_DOCTOR_REPORT_H
#define HOLDFAST_CLI_DOCTOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/printf_like.h"

enum doctor_result { DOCTOR_OK = 0, DOCTOR_WARNING, DOCTOR_FAIL, DOCTOR_SKIPPED };

enum { DOCTOR_SEEN_BYTES = 1200, DOCTOR_MEND_BYTES = 900 };

struct doctor_hop {
    enum doctor_result result;
    const char *name; /* static: "host key" */
    char *forward;    /* "-R 127.0.0.1:14444 -> 192.168.200.2:4444"; NULL: it is of the whole tunnel */
    char *seen;       /* "" of a hop that was skipped */
    char *mend;       /* "" when there is nothing to do */
};

struct doctor_report {
    char *tunnel; /* NULL: the definitions themselves */
    char *peer;   /* "me@192.168.1.3" for the heading; may be NULL */
    struct doctor_hop *hops;
    size_t count;
    char *forward;      /* what hops added from now on belong to */
    bool out_of_memory; /* a hop was lost */
};

/* `tunnel` and `peer` are copied and may be NULL. */
void doctor_report_init(struct doctor_report *report, const char *tunnel, const char *peer);
void doctor_report_deinit(struct doctor_report *report);
/* The hops to come belong to this forward; NULL: to the tunnel. Copied. */
void doctor_report_forward(struct doctor_report *report, const char *forward);
/* Adds a hop; `name` is static, `mend` may be NULL, the format says what was seen. Control characters become '?'. */
void doctor_report_add(struct doctor_report *report, enum doctor_result result, const char *name, const char *mend,
                       const char *format, ...) PRINTF_LIKE(5, 6);
/* The first hop that failed, or NULL. */
const struct doctor_hop *doctor_report_failure(const struct doctor_report *report);
/* "ok", "warning", "fail", "skipped". */
const char *doctor_result_name(enum doctor_result result);

/* One line per hop, and the mend of the first failure last. */
void doctor_report_print(const struct doctor_report *report, FILE *out);
/* [{"tunnel": NAME, "hops": [{"hop", "forward", "result", "seen", "mend"}]}] with a newline. False: out of memory. */
bool doctor_report_print_json(const struct doctor_report *reports, size_t count, FILE *out);

#endif
