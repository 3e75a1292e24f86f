#include "tunnel/reclaim_script.h"

#include <stdio.h>

/* It passes through the user's login shell, whichever that is, and through sshd's reader of authorized_keys. So it
 * stands between single quotes on one line, and has none of ' ! \ and no newline in it. */

/* Where its words come from: few letters only, then split at blanks. */
#define READ_REQUEST                                                                                                   \
    "set -f; export PATH=/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C TZ=UTC0; "                                             \
    "a=\"$*\"; [ $# -gt 0 ] || a=${SSH_ORIGINAL_COMMAND##*holdfast-reclaim }; "                                        \
    "[ -z \"$(printf %s \"$a\" | tr -d \"a-zA-Z0-9.:, -\")\" ] || exit 64; "                                           \
    "set -- $a; [ \"$1\" = 1 ] && [ $# -ge 3 ] || exit 64; "                                                           \
    "case $2 in report|end) ;; *) exit 64;; esac; "

/* s PID: its name in c, its parent in q, its start in t, its user in u. Fails when it is not there, or only dead. */
#define DEFINE_LOOK_AT_PROCESS                                                                                         \
    "s() { c=; q=; t=; u=; case $1 in \"\"|0*|*[a-zA-Z.:,-]*) return 1;; esac; "                                       \
    "if [ -r /proc/self/stat ]; then "                                                                                 \
    "l=$(cat /proc/$1/stat 2>/dev/null) || return 1; c=${l#*\"(\"}; c=${c%\")\"*}; "                                   \
    "while read -r k v e r; do [ \"$k\" = Uid: ] && [ \"$v\" = \"$e\" ] && u=$v; done 2>/dev/null </proc/$1/status; "  \
    "set -- ${l##*\") \"}; [ $# -ge 20 ] && [ \"$1\" = Z ] && return 1; q=$2; t=${20}; "                               \
    "else l=$(ps -o ppid= -o uid= -o state= -o ucomm= -p $1 2>/dev/null) || return 1; "                                \
    "t=$(ps -o lstart= -p $1 2>/dev/null | tr -s \" \" - | tr -cd \"a-zA-Z0-9:-\"); "                                  \
    "set -- $l; [ $# -ge 4 ] || return 1; q=$1; u=$2; c=$4; case $3 in Z*) return 1;; esac; fi; "                      \
    "[ -n \"$t\" ]; }; "

#define DEFINE_IS_SSHD "d() { case $c in sshd|sshd-session) return 0;; esac; return 1; }; "

/* Who serves us: the sshd that began us, which is the one that holds the listeners. One further up serves somebody
 * else: whoever began another server from there. f: all above us. */
#define SAY_WHO_SERVES                                                                                                 \
    "b=$( (cat /proc/sys/kernel/random/boot_id || sysctl -n kern.bootsessionuuid || sysctl -n kern.boottime) "         \
    "2>/dev/null | tr -cd \"a-zA-Z0-9-\" | cut -c 1-64); m=$(id -u); n=0; p=$PPID; f=\" $$ \"; g=; "                   \
    "while [ $n -lt 20 ] && [ \"$p\" -gt 1 ] 2>/dev/null && s $p; do f=\"$f$p \"; "                                    \
    "[ $n = 0 ] && d && g=\"$p $t ${u:--}\"; p=$q; n=$((n+1)); done; "                                                 \
    "echo; echo holdfast-reclaim 1; echo boot $b; echo user $m; [ -n \"$g\" ] && echo serving $g; "

/* e PID START: proves, and proves again before each signal. */
#define DEFINE_END                                                                                                     \
    "e() { case $f in *\" $1 \"*) echo serving; return;; esac; "                                                       \
    "s $1 || { echo gone; return; }; [ \"$t\" = \"$2\" ] || { echo reused; return; }; "                                \
    "d || { echo not_sshd; return; }; [ -n \"$u\" ] && [ \"$u\" = \"$m\" ] || { echo other_user; return; }; "          \
    "kill -TERM $1 2>/dev/null; i=0; w=ended; "                                                                        \
    "while s $1 && [ \"$t\" = \"$2\" ]; do "                                                                           \
    "[ $i -ge 40 ] && { echo failed; return; }; "                                                                      \
    "[ $i -ge 20 ] && d && [ \"$u\" = \"$m\" ] && { w=killed; kill -KILL $1 2>/dev/null; }; "                          \
    "if sleep 0.1 2>/dev/null; then i=$((i+1)); else sleep 1; i=$((i+10)); fi; done; echo $w; }; "

#define END_THE_ASKED                                                                                                  \
    "o=$3; if [ $2 = end ]; then z=$4; [ $# -ge 4 ] && shift 4 || shift $#; "                                          \
    "while [ $# -ge 2 ]; do [ -n \"$b\" ] && [ \"$b\" = \"$z\" ] && x=$(e $1 $2) || x=other_boot; "                    \
    "echo end $1 $x; shift 2; done; fi; "

/* Who listens: Linux says the user too. */
#define SAY_PORTS                                                                                                      \
    "h() { case $1 in \"\"|*[a-zA-Z.:,-]*) return;; esac; if [ -r /proc/net/tcp ]; then "                              \
    "set -- $1 $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep \":$(printf %04X $1) [0-9A-F]*:0000 0A \"); "     \
    "if [ $# -ge 9 ]; then echo port $1 taken $9; else echo port $1 free -; fi; "                                      \
    "elif k=$(netstat -an 2>/dev/null); then "                                                                         \
    "if printf %s \"$k\" | grep LISTEN | grep -q \"[.:]$1 \"; then echo port $1 taken -; else echo port $1 free -; "   \
    "fi; "                                                                                                             \
    "else echo port $1 unknown -; fi; }; "                                                                             \
    "for y in $(printf %s \"$o\" | tr , \" \"); do h $y; done; echo done"

#define SCRIPT READ_REQUEST DEFINE_LOOK_AT_PROCESS DEFINE_IS_SSHD SAY_WHO_SERVES DEFINE_END END_THE_ASKED SAY_PORTS

#define FORCED "exec /bin/sh -c '" SCRIPT "' holdfast-reclaim"

const char *reclaim_script_forced(void)
{
    return FORCED;
}

const char *reclaim_script_command(const char *request, char *out, size_t cap_bytes)
{
    int len = snprintf(out, cap_bytes, "%s %s", FORCED, request);
    return len > 0 && (size_t)len < cap_bytes ? out : NULL;
}
