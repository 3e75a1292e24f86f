#include "cli/doctor_report.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/text.h"

void doctor_report_init(struct doctor_report *report, const char *tunnel, const char *peer)
{
    memset(report, 0, sizeof *report);
    report->tunnel = tunnel != NULL ? strdup(tunnel) : NULL;
    report->peer = peer != NULL ? strdup(peer) : NULL;
}

void doctor_report_deinit(struct doctor_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        free(report->hops[i].forward);
        free(report->hops[i].seen);
        free(report->hops[i].mend);
    }
    free(report->hops);
    free(report->forward);
    free(report->tunnel);
    free(report->peer);
    memset(report, 0, sizeof *report);
}

void doctor_report_forward(struct doctor_report *report, const char *forward)
{
    char shown[DOCTOR_SEEN_BYTES];
    free(report->forward);
    report->forward = forward != NULL ? strdup(text_shown(forward, shown, sizeof shown)) : NULL;
}

void doctor_report_add(struct doctor_report *report, enum doctor_result result, const char *name, const char *mend,
                       const char *format, ...)
{
    char seen[DOCTOR_SEEN_BYTES];
    char shown[DOCTOR_SEEN_BYTES];
    char advice[DOCTOR_MEND_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(seen, sizeof seen, format, args);
    va_end(args);
    struct doctor_hop *grown = realloc(report->hops, (report->count + 1) * sizeof *grown);
    if (grown == NULL) {
        report->out_of_memory = true;
        return;
    }
    report->hops = grown;
    struct doctor_hop *hop = &report->hops[report->count];
    *hop = (struct doctor_hop){
        .result = result,
        .name = name,
        .forward = report->forward != NULL ? strdup(report->forward) : NULL,
        .seen = strdup(text_shown(seen, shown, sizeof shown)),
        .mend = strdup(text_shown(mend != NULL ? mend : "", advice, sizeof advice)),
    };
    report->count++;
    if (hop->seen == NULL || hop->mend == NULL || (report->forward != NULL && hop->forward == NULL)) {
        free(hop->seen);
        free(hop->mend);
        free(hop->forward);
        report->count--;
        report->out_of_memory = true;
    }
}

const struct doctor_hop *doctor_report_failure(const struct doctor_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->hops[i].result == DOCTOR_FAIL) {
            return &report->hops[i];
        }
    }
    return NULL;
}

const char *doctor_result_name(enum doctor_result result)
{
    static const char *const names[] = {"ok", "warning", "fail", "skipped"};
    return names[result];
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

void doctor_report_print(const struct doctor_report *report, FILE *out)
{
    const char *forward = NULL;
    const struct doctor_hop *failure = doctor_report_failure(report);
    if (report->tunnel != NULL) {
        (void)fprintf(out, "%s%s%s%s\n", report->tunnel, report->peer != NULL ? " (" : "",
                      report->peer != NULL ? report->peer : "", report->peer != NULL ? ")" : "");
    }
    for (size_t i = 0; i < report->count; i++) {
        const struct doctor_hop *hop = &report->hops[i];
        if (!is_same(hop->forward, forward) && hop->forward != NULL) {
            (void)fprintf(out, "  %s\n", hop->forward);
        }
        forward = hop->forward;
        if (hop->result == DOCTOR_SKIPPED) {
            (void)fprintf(out, "  %-8s %s\n", doctor_result_name(hop->result), hop->name);
            continue;
        }
        (void)fprintf(out, "  %-8s %-15s %s%s%s\n", doctor_result_name(hop->result), hop->name, hop->seen,
                      hop->mend[0] != '\0' ? "; to do: " : "", hop->mend);
    }
    if (failure != NULL) {
        (void)fprintf(out, "  => %s%s%s: %s\n", failure->name, failure->forward != NULL ? " of " : "",
                      failure->forward != NULL ? failure->forward : "",
                      failure->mend[0] != '\0' ? failure->mend : failure->seen);
    }
    if (report->out_of_memory) {
        (void)fprintf(out, "  => out of memory: hops are missing here\n");
    }
}

/* A string for JSON, which must be UTF-8: whatever is not becomes '?'. */
static json_t *text_json(const char *text)
{
    if (text == NULL) {
        return json_null();
    }
    json_t *json = json_string(text);
    char *copy = json == NULL ? strdup(text) : NULL;
    if (copy != NULL) {
        for (char *at = copy; *at != '\0'; at++) {
            *at = (unsigned char)*at >= 0x80 ? '?' : *at;
        }
        json = json_string(copy);
        free(copy);
    }
    return json;
}

static json_t *hop_json(const struct doctor_hop *hop)
{
    return json_pack("{s:s, s:o, s:s, s:o, s:o}", "hop", hop->name, "forward", text_json(hop->forward), "result",
                     doctor_result_name(hop->result), "seen", text_json(hop->seen), "mend", text_json(hop->mend));
}

bool doctor_report_print_json(const struct doctor_report *reports, size_t count, FILE *out)
{
    json_t *all = json_array();
    bool good = all != NULL;
    for (size_t i = 0; good && i < count; i++) {
        json_t *hops = json_array();
        good = hops != NULL && !reports[i].out_of_memory;
        for (size_t j = 0; good && j < reports[i].count; j++) {
            good = json_array_append_new(hops, hop_json(&reports[i].hops[j])) == 0;
        }
        json_t *one = json_pack("{s:o, s:o}", "tunnel", text_json(reports[i].tunnel), "hops", hops);
        good = json_array_append_new(all, one) == 0 && good;
    }
    good = good && json_dumpf(all, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;
    json_decref(all);
    return good;
}
