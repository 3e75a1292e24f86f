#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/common.h"
#include "config/text.h"

static const char general[] = "Usage: holdfast [flags of ssh] [--once] [user@]host     one tunnel from flags\n"
                              "       holdfast COMMAND [...]\n"
                              "\n"
                              "  -L [bind:]port:host:hostport   listen here, connect from the peer\n"
                              "  -R [bind:]port:host:hostport   listen on the peer, connect from here\n"
                              "                                 a socket's path may stand for either end\n"
                              "  -p port  -l user  -i key       as with ssh; so are -4 -6 -b -c -C -F -g -m\n"
                              "  -o Option=value                a word of ssh_config(5)\n"
                              "  --once, -v, -vv, -vvv, -q      never reconnect; say more; errors only\n"
                              "  -E, --log-file FILE, --log-level L, --log-format F, --log-max-size S   log\n"
                              "\n"
                              "Commands:\n"
                              "  run, check  keep all tunnels of the definitions; see whether they are valid\n"
                              "  status, logs   how the tunnels of a running holdfast are; its last log lines\n"
                              "  doctor      walk all hops of a tunnel: what is broken, and what mends it\n"
                              "  start, stop, restart NAME..., reload   steer it\n"
                              "  trust, keygen   pin a host's keys; make a tunnel's own key\n"
                              "  service     keep them from boot on: Windows, systemd, launchd\n"
                              "  secret, firewall   Windows: keep passphrases; open a listener to others\n"
                              "  help        [COMMAND]; also help config (what definitions look like)\n"
                              "\n"
                              "Example: holdfast -R 14444:192.168.200.2:4444 me@macbook\n"
                              "Exit codes: 0 stopped as asked, 1 failed, 2 usage or definition, 3 refused\n"
                              "authentication, 4 host key not trusted, 5 a forward could not be bound\n";

static const char run[] = "Usage: holdfast run [-c FILE|DIR]... [flags about the log]\n"
                          "\n"
                          "Keeps all tunnels of the definitions, in the foreground, until SIGTERM or\n"
                          "Ctrl-C: then it accepts nothing new, lets connections finish for up to\n"
                          "5 seconds, and ends. A second signal ends it at once. SIGHUP loads the\n"
                          "definitions again; tunnels that are the same stay as they are.\n"
                          "\n"
                          "  -c FILE|DIR      definitions; of a folder, its *.yaml in name order\n"
                          "  -v -vv | -q      say more (debug, trace: -vv, -vvv), or errors only\n"
                          "  -E FILE, --log-file FILE\n"
                          "  --log-level error|warning|info|debug|trace   (info)\n"
                          "  --log-format text|json                       (text)\n"
                          "  --log-max-size SIZE   then FILE becomes FILE.1 and so on, up to FILE.5\n"
                          "\n"
                          "Without -c: /etc/holdfast for root or a service, else holdfast in\n"
                          "$XDG_CONFIG_HOME (~/.config); on Windows %ProgramData%\\holdfast or\n"
                          "%APPDATA%\\holdfast.\n";

static const char check[] = "Usage: holdfast check [-c FILE|DIR]...\n"
                            "\n"
                            "Reads definitions as 'run' would, and starts nothing. Every error goes to\n"
                            "standard error as FILE:LINE:COLUMN: key: what is wrong; then it exits with 2.\n"
                            "Without errors, one line per tunnel goes to standard output.\n"
                            "\n"
                            "  -c FILE|DIR      definitions; of a folder, its *.yaml in name order\n";

static const char status[] = "Usage: holdfast status [--json|--prometheus|--watch] [NAME]...\n"
                             "\n"
                             "Asks the holdfast that runs here (your own, else the machine's service; another\n"
                             "one where HOLDFAST_CONTROL is the path of its socket or pipe) how its tunnels\n"
                             "are: all of them, or those named. Who may ask is its owner, and administrators.\n"
                             "\n"
                             "  --json         as JSON: docs/status.schema.json says what is in it\n"
                             "  --prometheus   in Prometheus' text format; metrics_file writes that to a file\n"
                             "  --watch        a table that stays up to date, until q or Ctrl-C; a line for\n"
                             "                 each change where standard output is no terminal\n"
                             "\n"
                             "IN and OUT are bytes on the wire to the peer, over all sessions; those of a\n"
                             "forward are what its connections carried.\n"
                             "\n"
                             "Exit codes: 0 answered, however the tunnels are; 1 nothing runs, or it does not\n"
                             "answer; 2 usage, or no such tunnel\n";

static const char steer[] = "Usage: holdfast start NAME...\n"
                            "       holdfast stop NAME...\n"
                            "       holdfast restart NAME...\n"
                            "\n"
                            "Asks the holdfast that runs here ('holdfast help status' says which) to steer\n"
                            "tunnels. The answer comes before all is done: see 'holdfast status'.\n"
                            "\n"
                            "  start     one that was stopped runs again; one that has failed tries again\n"
                            "  stop      takes no new connections, lets those there are finish for up to 5\n"
                            "            seconds, and ends the session; it stays stopped until it is started\n"
                            "            or the program is. A second 'stop' ends it at once\n"
                            "  restart   stop and start, with a new session\n"
                            "\n"
                            "Exit codes: 0 asked; 1 nothing runs, or it does not answer; 2 usage, or no such\n"
                            "tunnel\n";

static const char reload[] = "Usage: holdfast reload\n"
                             "\n"
                             "Has the holdfast that runs here ('holdfast help status' says which) read its\n"
                             "definitions again. All of them are checked first: if one is wrong, nothing\n"
                             "changes, and the first mistake is told (the log has the others). Tunnels that\n"
                             "are defined as before do not lose a byte; forwards that were added or removed\n"
                             "change on the session that is up; other changes end that tunnel's session and\n"
                             "begin a new one.\n"
                             "\n"
                             "Exit codes: 0 done; 1 nothing runs, or it does not answer; 2 usage, or a\n"
                             "definition is wrong\n";

static const char doctor[] = "Usage: holdfast doctor [-c FILE|DIR]... [--json] [NAME]...\n"
                             "\n"
                             "Walks the hops of each tunnel, or of those named: definition, key file, agent,\n"
                             "name, connect, banner, algorithms, host key, authentication, packet size; then\n"
                             "of each forward its permission, its port, its target and the path through the\n"
                             "peer. One line per hop: ok, warning or fail, what was seen, what to do. What\n"
                             "follows a failure is skipped, and its mend comes last.\n"
                             "\n"
                             "  -c FILE|DIR      definitions, as with run\n"
                             "  --json           [{tunnel, hops: [{hop, forward, result, seen, mend}]}]\n"
                             "  -v, -q, -E FILE, --log-level, --log-format   as with run\n"
                             "\n"
                             "Changes nothing: no key is pinned, a target gets no byte, a listener on the peer\n"
                             "is taken back at once, and the ports of a running holdfast are left alone. Each\n"
                             "hop has connect_timeout. Passphrases are asked for at a terminal, not by --json.\n"
                             "\n"
                             "Exit codes: 0 nothing failed, 1 something did, 2 usage or definition error\n";

static const char logs[] = "Usage: holdfast logs [-f] [NAME]...\n"
                           "\n"
                           "The last lines of the log of the holdfast that runs here, wherever they go to:\n"
                           "of all, or of the tunnels named. It remembers 256 KiB of them, and is found as\n"
                           "'holdfast status' finds it.\n"
                           "\n"
                           "  -f, --follow   and what comes, until Ctrl-C\n";

static const char trust[] = "Usage: holdfast trust [flags] [user@]host[:port]\n"
                            "\n"
                            "Connects, shows the fingerprints of the host's keys, and pins them in\n"
                            "~/.ssh/known_hosts once you agree. Compare them with what the host itself\n"
                            "says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n"
                            "\n"
                            "  -p port          the host's port (22)\n"
                            "  --known-hosts FILE   pin there instead\n"
                            "  --service [-c FILE|DIR]   pin where a service's definitions look for it\n"
                            "  --yes            do not ask; never replaces a key that has changed\n"
                            "  --yes --replace  do not ask, and replace changed keys\n"
                            "  -F file, -o Option=value, -b, -l, -4, -6   as with ssh\n"
                            "  -v, -q, -E FILE, --log-level, --log-format   as with run\n"
                            "\n"
                            "Exit codes: 0 pinned, or pinned before; 4 nothing was pinned; 1 not reached\n";

static const char keygen[] = "Usage: holdfast keygen [-c FILE|DIR]... NAME\n"
                             "\n"
                             "Makes the identity_file of the tunnel NAME (Ed25519, no passphrase) unless it\n"
                             "exists, and prints the line for the peer's ~/.ssh/authorized_keys: with it the\n"
                             "key may open this tunnel's forwards and do nothing else there.\n"
                             "\n"
                             "  -c FILE|DIR      definitions, as with run\n"
                             "\n"
                             "The line goes to standard output, and what was done to standard error.\n";

static const char service[] = "Usage: holdfast service install [--user | --account A] [--name N] [-c FILE|DIR]...\n"
                              "                               [--fix-acl] [--print]\n"
                              "       holdfast service uninstall|start|stop|status [--user] [--name N]\n"
                              "\n"
                              "Keeps all tunnels of the definitions from boot on, with nobody logged in: a\n"
                              "service of Windows, systemd or launchd. 'install' first looks at what would\n"
                              "break that later, and installs nothing if it finds something. As administrator\n"
                              "or root, but for --user.\n"
                              "\n"
                              "  -c FILE|DIR      definitions (%ProgramData%\\holdfast, /etc/holdfast)\n"
                              "  --name N         the service's name (holdfast)\n"
                              "  --account A      who it runs as: a user; on Windows LocalSystem, LocalService,\n"
                              "                   NetworkService or a person (.\\me). Without it, an account made\n"
                              "                   for it alone (macOS: root)\n"
                              "  --user           systemd, launchd: a service of yours (~/.config/holdfast)\n"
                              "  --fix-acl        let nobody else read the keys (Windows: but that account)\n"
                              "  --print          write the unit or property list to standard output, no more\n"
                              "\n"
                              "Log: 'status' says where.\n"
                              "Exit codes: 0 done, or running; 1 failed, or not running; 2 to 4 as elsewhere\n";

static const char secret[] = "Usage: holdfast secret set NAME [--service[=SERVICE]] [--account ACCOUNT]\n"
                             "       holdfast secret list [--service]\n"
                             "       holdfast secret remove NAME [--service]\n"
                             "\n"
                             "Windows keeps the passphrase of a key, encrypted (DPAPI), for definitions that\n"
                             "say passphrase_secret: NAME. 'set' asks for it at the terminal, or reads one\n"
                             "line from standard input; it is no word of the command line.\n"
                             "\n"
                             "  without flags    for you alone, in %APPDATA%\\holdfast\\secrets\n"
                             "  --service[=SERVICE]  for the service of that name (holdfast), on this machine\n"
                             "                   alone, in %ProgramData%\\holdfast\\secrets; as administrator\n"
                             "  --account ACCOUNT    the service runs as that account, not NT SERVICE\\SERVICE\n"
                             "\n"
                             "Elsewhere: not in this version; use ssh-agent, or a key without a passphrase.\n";

static const char firewall[] = "Usage: holdfast firewall allow|remove [-c FILE|DIR]... NAME\n"
                               "\n"
                               "Windows: 'allow' lets other machines connect to the local listeners of the\n"
                               "tunnel NAME, by a rule 'holdfast NAME' of the firewall; 'remove' takes that rule\n"
                               "back and no other. Both need a console opened with 'Run as administrator'.\n"
                               "Listeners on loopback need no rule. Not in this version on other systems.\n"
                               "\n"
                               "  -c FILE|DIR      definitions, as with run\n";

static const char config[] = "defaults:                       # of this file\n"
                             "  server_alive_interval: 15s\n"
                             "hosts:\n"
                             "  macbook:\n"
                             "    hostname: 192.168.1.3       # or a list, tried in order\n"
                             "    user: me\n"
                             "    identity_file: macbook.key  # relative to this file\n"
                             "    strict_host_key_checking: yes   # yes | accept_new | no\n"
                             "tunnels:\n"
                             "  xp-mode:\n"
                             "    host: macbook               # or [user@]name[:port]\n"
                             "    forwards:\n"
                             "      - remote: 14444           # [bind:]port; listens on the peer\n"
                             "        to: 192.168.200.2:4444\n"
                             "      - local: 127.0.0.1:8080   # listens here\n"
                             "        to: intranet:80\n"
                             "        hold: 10s               # wait so long for the session\n"
                             "    backoff: {first: 500ms, max: 60s}\n"
                             "\n"
                             "Words follow ssh_config(5) in snake_case. Durations: ms s m h.\n";

static const char help[] = "Usage: holdfast help [COMMAND|config]\n";

static const struct {
    const char *command;
    const char *text;
} texts[] = {
    {"run", run},         {"status", status},     {"logs", logs},     {"start", steer},
    {"stop", steer},      {"restart", steer},     {"reload", reload}, {"check", check},
    {"doctor", doctor},   {"trust", trust},       {"keygen", keygen}, {"secret", secret},
    {"service", service}, {"firewall", firewall}, {"config", config}, {"help", help},
};

const char *help_text(const char *command)
{
    if (command == NULL) {
        return general;
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(command, texts[i].command) == 0) {
            return texts[i].text;
        }
    }
    return NULL;
}

int cmd_help(int argc, char **argv)
{
    const char *names[sizeof texts / sizeof texts[0]];
    const char *command = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        names[i] = texts[i].command;
    }
    if (argc > 2) {
        return cli_usage("help: '%s' is too much; one command at a time", argv[2]);
    }
    if (argc == 2 && strcmp(argv[1], "-h") != 0 && strcmp(argv[1], "--help") != 0) {
        command = argv[1];
    }
    const char *text = help_text(command);
    if (text == NULL) {
        const char *nearest = text_nearest(command, names, sizeof names / sizeof names[0]);
        return nearest == NULL ? cli_usage("help: there is no command '%s'; 'holdfast help' lists them", command)
                               : cli_usage("help: there is no command '%s'; did you mean '%s'?", command, nearest);
    }
    (void)fputs(text, stdout);
    return CLI_OK;
}
