/* The hops from the first byte to being let in: banner, algorithms, host key, authentication. */
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "session/host_key.h"
#include "session/known_hosts_file.h"

enum { LIST_BYTES = 300, KEY_TEXT_BYTES = 160 };

static double limit_s(const struct doctor *doctor)
{
    return (double)doctor_limit_ms(doctor) / 1000.0;
}

/* ---- banner ---- */

static void fail_banner(struct doctor *doctor, const struct opening *opening)
{
    char mend[300];
    const char *what = "";
    unsigned port = doctor->host.port;
    (void)snprintf(mend, sizeof mend, "port %u is not a sshd's: set port: to the sshd's, or see what forwards it there",
                   port);
    if (opening->is_old_ssh) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "banner", "renew the sshd there: version 1 is broken since long",
                          "'%s': it speaks SSH version 1 alone", opening->line);
    } else if (opening->line[0] != '\0') {
        what = strncmp(opening->line, "HTTP/", 5) == 0 ? ": it is a web server's" : "";
        doctor_report_add(doctor->report, DOCTOR_FAIL, "banner", mend, "'%s' is no greeting of SSH%s", opening->line,
                          what);
    } else if (doctor->why.code == ERR_TIMEOUT) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "banner",
                          "see whether the sshd there hangs (restart it), and whether it is one: set port: otherwise",
                          "it took the connection and said nothing within %.3g s", limit_s(doctor));
    } else {
        doctor_report_add(
            doctor->report, DOCTOR_FAIL, "banner",
            "a sshd at its limit does so (MaxStartups, PerSourcePenalties: wait some minutes, see its log), "
            "and a port that is no sshd's (set port:)",
            "it ended the connection before any greeting");
    }
}

/* ---- algorithms ---- */

/* The word of definitions and of sshd_config(5) for a kind. */
static const char *kind_words(const char *kind, bool of_peer)
{
    static const struct {
        const char *kind, *ours, *theirs;
    } words[] = {{"key exchange", "kex_algorithms", "KexAlgorithms"},
                 {"host key algorithm", "host_key_algorithms", "HostKeyAlgorithms"},
                 {"cipher", "ciphers", "Ciphers"},
                 {"MAC", "macs", "MACs"}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].kind, kind) == 0) {
            return of_peer ? words[i].theirs : words[i].ours;
        }
    }
    return kind;
}

static void fail_algorithms(struct doctor *doctor, const struct opening *opening)
{
    char theirs[LIST_BYTES];
    char ours[LIST_BYTES];
    char mend[400];
    const struct host_spec *host = &doctor->host;
    const char *name = doctor->inspect.hostname[0] != '\0' ? doctor->inspect.hostname : host->hostnames.items[0];
    const char *missing = inspect_missing(opening, host, name, theirs, ours, sizeof theirs);
    if (doctor->why.code == ERR_DEFINITION) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "algorithms", "correct the list in the definition", "%s",
                          doctor->why.message);
    } else if (missing != NULL) {
        (void)snprintf(mend, sizeof mend,
                       "allow one of ours at the peer (%s in sshd_config, or a newer sshd), or take away what the "
                       "definition forbids (%s)",
                       kind_words(missing, true), kind_words(missing, false));
        doctor_report_add(doctor->report, DOCTOR_FAIL, "algorithms", mend,
                          "no %s in common: the peer offers %s; we offer %s", missing, theirs, ours);
    } else if (doctor->why.code == ERR_TIMEOUT) {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "algorithms",
                          "large packets may vanish on the way (an MTU black hole): lower the MTU of this machine's "
                          "interface (try 1280), or let ICMP 'fragmentation needed' through; or the peer is overloaded",
                          "greetings were exchanged, and then the key exchange did not finish within %.3g s",
                          limit_s(doctor));
    } else {
        doctor_report_add(doctor->report, DOCTOR_FAIL, "algorithms", "see the log of the sshd there for the reason",
                          "%s", doctor->why.message);
    }
}

static void pass_algorithms(struct doctor *doctor)
{
    struct session_facts facts;
    session_get_facts(doctor->session, &facts);
    if (doctor->phase == SESSION_READY && facts.kex != NULL && facts.kex[0] != '\0') {
        doctor_report_add(doctor->report, DOCTOR_OK, "algorithms", NULL, "%s, %s", facts.kex, facts.cipher);
    } else {
        doctor_report_add(doctor->report, DOCTOR_OK, "algorithms", NULL, "there are ones in common");
    }
}

/* ---- host key ---- */

/* The command that pins the key where the definition looks for it. */
static void trust_command(const struct doctor *doctor, char *out, size_t cap_bytes)
{
    const struct host_spec *host = &doctor->tunnel->host;
    const char *name = doctor->inspect.hostname[0] != '\0' ? doctor->inspect.hostname : host->hostnames.items[0];
    (void)host_key_trust_command(host, name, host->port, out, cap_bytes);
}

static bool fail_host_key(struct doctor *doctor, const char *key, const struct known_hosts_result *found)
{
    char command[500];
    char mend[DOCTOR_MEND_BYTES];
    trust_command(doctor, command, sizeof command);
    switch (found->status) {
    case KNOWN_HOSTS_IS_REVOKED:
        doctor_report_add(doctor->report, DOCTOR_FAIL, "host key", "do not use this host before its keys are renewed",
                          "%s is marked as revoked at %s:%u", key, found->file, found->line_number);
        break;
    case KNOWN_HOSTS_MISMATCH:
    case KNOWN_HOSTS_OTHER_TYPE:
        (void)snprintf(mend, sizeof mend,
                       "somebody may be in between; if the peer was installed anew and you have compared the key "
                       "(ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub), run: %s",
                       command);
        doctor_report_add(doctor->report, DOCTOR_FAIL, "host key", mend,
                          "it has CHANGED: the peer has %s, but %s:%u has %s", key, found->file, found->line_number,
                          found->old_key);
        break;
    case KNOWN_HOSTS_UNKNOWN:
    case KNOWN_HOSTS_MATCH:
    default:
        (void)snprintf(
            mend, sizeof mend,
            "compare it with the peer's own (ssh-keygen -lf on its /etc/ssh/ssh_host_*_key.pub), then run: %s",
            command);
        doctor_report_add(doctor->report, DOCTOR_FAIL, "host key", mend, "%s is not known", key);
        break;
    }
    return false;
}

static bool judge_host_key(struct doctor *doctor)
{
    const struct host_spec *host = &doctor->host;
    const struct inspect *inspect = &doctor->inspect;
    struct known_hosts_result found;
    char key[KEY_TEXT_BYTES];
    memset(&found, 0, sizeof found);
    char *name = known_hosts_lookup_name(inspect->hostname, host->port, host->host_key_alias);
    char *plain =
        host->port != 22 && host->host_key_alias == NULL ? known_hosts_lookup_name(inspect->hostname, 22, NULL) : NULL;
    (void)host_key_text(inspect->host_key, inspect->host_key_len, key, sizeof key);
    if (name != NULL) {
        known_hosts_search_files(&host->known_hosts_files, name, plain, inspect->host_key, inspect->host_key_len,
                                 doctor->tunnel->name, &found);
    }
    free(name);
    free(plain);
    if (doctor->is_closed && doctor->why.code == ERR_HOST_KEY) {
        return fail_host_key(doctor, key, &found);
    }
    if (found.status == KNOWN_HOSTS_MATCH) {
        doctor_report_add(doctor->report, DOCTOR_OK, "host key", NULL, "%s, pinned at %s:%u", key, found.file,
                          found.line_number);
    } else if (found.status == KNOWN_HOSTS_UNKNOWN && host->strict_host_key_checking == HOST_KEY_ACCEPT_NEW) {
        doctor_report_add(doctor->report, DOCTOR_OK, "host key", NULL,
                          "%s is not known yet; 'run' pins it at its first connection (accept_new)", key);
    } else {
        char mend[600];
        char command[500];
        trust_command(doctor, command, sizeof command);
        (void)snprintf(mend, sizeof mend, "set strict_host_key_checking: yes, and run: %s", command);
        doctor_report_add(doctor->report, DOCTOR_WARNING, "host key", mend,
                          "%s is %s, and taken all the same (strict_host_key_checking: no): anybody may be in between",
                          key, found.status == KNOWN_HOSTS_UNKNOWN ? "not known" : "NOT the pinned one");
    }
    return true;
}

/* ---- authentication ---- */

static void fail_auth(struct doctor *doctor)
{
    static const char *const marks[] = {"; add the public ", "; allow public keys ", "; make a key ", "; load it into ",
                                        "; name the one key "};
    const struct host_spec *host = &doctor->host;
    const struct inspect *inspect = &doctor->inspect;
    char seen[sizeof doctor->why.message];
    char mend[sizeof doctor->why.message];
    char otherwise[300];
    (void)snprintf(otherwise, sizeof otherwise,
                   "add the public half of the key to ~/.ssh/authorized_keys of %s there, or see the log of the sshd",
                   host->user);
    if (doctor->is_auth_late) {
        doctor_report_add(
            doctor->report, DOCTOR_FAIL, "authentication",
            "see the log of the sshd there, whether its name server or directory answers, and whether the "
            "agent waits for a person",
            "no decision within %.3g s", limit_s(doctor));
        return;
    }
    doctor_split(doctor->why.message, marks, sizeof marks / sizeof marks[0], otherwise, seen, mend, sizeof seen);
    if (inspect->auth_methods[0] != '\0' && strstr(seen, "the peer offers") == NULL) {
        doctor_append(seen, sizeof seen, "; ", "the peer offers %s", inspect->auth_methods);
    }
    doctor_report_add(doctor->report, DOCTOR_FAIL, "authentication", mend, "%s", seen);
}

static void pass_auth(struct doctor *doctor)
{
    const struct inspect *inspect = &doctor->inspect;
    if (inspect->auth_methods[0] == '\0') {
        doctor_report_add(doctor->report, DOCTOR_OK, "authentication", NULL, "let in as %s; the peer asks for no proof",
                          doctor->host.user);
        return;
    }
    doctor_report_add(doctor->report, DOCTOR_OK, "authentication", NULL, "let in as %s; the peer offers %s%s%s",
                      doctor->host.user, inspect->auth_methods, inspect->auth_tried[0] != '\0' ? "; before that: " : "",
                      inspect->auth_tried);
}

void doctor_handshake_judge(struct doctor *doctor)
{
    struct opening opening;
    opening_parse(doctor->inspect.opening, doctor->inspect.opening_len, &opening);
    bool is_keyed = doctor->inspect.host_key_len > 0;
    if (doctor->is_closed && doctor->why.code == ERR_DEFINITION) { /* before anything was said */
        doctor_report_add(doctor->report, DOCTOR_SKIPPED, "banner", NULL, "%s", "");
        fail_algorithms(doctor, &opening);
        return;
    }
    if (!opening.is_ssh && !is_keyed) {
        fail_banner(doctor, &opening);
        return;
    }
    doctor_report_add(doctor->report, DOCTOR_OK, "banner", NULL, "%s", opening.line);
    if (!is_keyed) {
        fail_algorithms(doctor, &opening);
        return;
    }
    pass_algorithms(doctor);
    if (!judge_host_key(doctor)) {
        return;
    }
    if (doctor->is_closed) {
        fail_auth(doctor);
    } else {
        pass_auth(doctor);
    }
}
