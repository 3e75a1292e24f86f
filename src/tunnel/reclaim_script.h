/* The small program that runs at the peer (POSIX sh, on Linux and macOS): says which sshd serves the session it came
 * over and whether ports are taken there, and ends an sshd that a record proves to have served us. Pure.
 *
 * What it is asked, as its arguments or, where it is the forced command of authorized_keys, by SSH_ORIGINAL_COMMAND:
 *     1 report PORTS                            PORTS: 14444,14445 or -
 *     1 end PORTS BOOT PID START [PID START]    the boot of the peer, the processes with their start times
 * What it answers, each a line: "holdfast-reclaim 1", "boot BOOT", "serving PID START UID", "user UID", for each asked
 * process "end PID WORD", for each port "port PORT taken|free|unknown UID", and "done". A process is ended only if it
 * has that pid and start time under that boot, is an sshd of the user who asks, and does not serve who asks. */
#ifndef HOLDFAST_TUNNEL_RECLAIM_SCRIPT_H
#define HOLDFAST_TUNNEL_RECLAIM_SCRIPT_H

#include <stddef.h>

enum { RECLAIM_COMMAND_CAP_BYTES = 8192 };

/* What command="..." of an authorized_keys line is to hold: the script, asked by SSH_ORIGINAL_COMMAND. No double quote
 * in it is escaped. Static. */
const char *reclaim_script_forced(void);
/* The command for the peer: the same script asked by `request` ("1 report 14444"), in a form that the forced command
 * understands too. Returns `out`, or NULL when it does not fit. */
const char *reclaim_script_command(const char *request, char *out, size_t cap_bytes);

#endif
