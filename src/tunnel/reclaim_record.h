/* What is remembered of a tunnel's sessions: which sshd processes of the peer served them, and which ports were bound
 * there. One small text file per tunnel in the state directory, for its owner alone, replaced whole. */
#ifndef HOLDFAST_TUNNEL_RECLAIM_RECORD_H
#define HOLDFAST_TUNNEL_RECLAIM_RECORD_H

#include "base/err.h"
#include "tunnel/reclaim_reply.h"

enum { RECLAIM_RECORD_CAP_BYTES = 16384, RECLAIM_SINCE_CAP_BYTES = 32 };

struct reclaim_entry {
    struct reclaim_process process;
    char boot[RECLAIM_WORD_CAP_BYTES];
    uint32_t user;
    char since[RECLAIM_SINCE_CAP_BYTES]; /* when that session began, RFC 3339 UTC */
};

struct reclaim_record {
    char tunnel[256];
    char host[512];                                      /* user@name:port: a record of another host says nothing */
    struct reclaim_entry entries[RECLAIM_PROCESSES_MAX]; /* the newest first */
    size_t entry_count;
    uint16_t ports[RECLAIM_PORTS_MAX]; /* that were bound at the peer in some session */
    size_t port_count;
};

/* Whether both are one process, as far as one boot of the peer goes. */
bool reclaim_process_equal(const struct reclaim_process *a, const struct reclaim_process *b);

/* An empty record of that tunnel and host. */
void reclaim_record_init(struct reclaim_record *record, const char *tunnel, const char *host);
/* Puts a process in front. One that is known already (boot, pid, start) stays where it is; the oldest falls out. True
 * when something changed. */
bool reclaim_record_add(struct reclaim_record *record, const struct reclaim_entry *entry);
/* Takes out the process; true when it was there. */
bool reclaim_record_drop(struct reclaim_record *record, const struct reclaim_process *process);
bool reclaim_record_has_port(const struct reclaim_record *record, uint16_t port);
/* True when it was not known yet. */
bool reclaim_record_add_port(struct reclaim_record *record, uint16_t port);

/* The text of the file; the length without its NUL, 0 when it does not fit. */
size_t reclaim_record_text(const struct reclaim_record *record, char *out, size_t cap_bytes);
/* Reads such a text into a record that was initialised: entries and ports. False, and nothing taken, when it is of
 * another tunnel, host or form. */
bool reclaim_record_parse(struct reclaim_record *record, const char *text, size_t len);

/* Reads the file into a record that was initialised. OK also where there is none; ERR_DEFINITION when it is no such
 * record, or of another host. Blocking, small. */
enum err reclaim_record_load(struct reclaim_record *record, const char *path, struct err_info *info);
/* Replaces the file with all of the record, or leaves it as it was. Blocking, small. */
enum err reclaim_record_save(const struct reclaim_record *record, const char *path, struct err_info *info);

#endif
