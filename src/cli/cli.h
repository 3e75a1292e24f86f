/* The command line: one file per subcommand. */
#ifndef HOLDFAST_CLI_CLI_H
#define HOLDFAST_CLI_CLI_H

/* Exit codes (DESIGN section 5). */
enum cli_exit { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_AUTH = 3, CLI_HOST_KEY = 4, CLI_BIND = 5 };

/* Dispatches argv to a subcommand or to the one-line form; returns the exit code. */
int cli_main(int argc, char **argv);

/* One per subcommand; argv[0] is the subcommand's name. */
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_restart(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_trust(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_service(int argc, char **argv);
int cmd_secret(int argc, char **argv);
int cmd_firewall(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_version(void);
int cmd_one_line(int argc, char **argv);

#endif
