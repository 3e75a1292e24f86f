#!/usr/bin/env bash
# demo.sh: watch a reverse tunnel heal. Installs what is missing, builds holdfast, and plays the network of the README on
# loopback: a throwaway sshd is the MacBook, a small web server is the XP guest. Nothing outside build/ and the cache of
# deps.sh is left behind. Debian 12 or newer, as root or with sudo; no prompt.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
work=
pids=()
made_run_sshd=

if [ -t 1 ]; then
    bold=$'\e[1m' green=$'\e[32m' dim=$'\e[2m' plain=$'\e[0m'
else
    bold='' green='' dim='' plain=''
fi

say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
good() { printf '%s  %s%s\n' "$green" "$*" "$plain"; }
show() { sed "s/^/$dim    /; s/\$/$plain/"; }
die() {
    printf 'demo: %s\n' "$*" >&2
    [ -z "$work" ] || tail -n 20 "$work"/*.log >&2 2>/dev/null || true
    exit 1
}

# descendants PID: all processes below it.
descendants() {
    local stat fields child
    for stat in /proc/[0-9]*/stat; do
        # The name in the second field may have spaces; what follows its closing bracket is state and parent.
        { fields=$(<"$stat"); } 2>/dev/null || continue
        read -r _ parent _ <<<"${fields##*) }"
        [ "$parent" = "$1" ] || continue
        child=${stat#/proc/}
        child=${child%/stat}
        echo "$child"
        descendants "$child"
    done
}

cleanup() {
    local pid all=()
    trap - EXIT
    for pid in "${pids[@]}"; do
        mapfile -t -O "${#all[@]}" all < <(descendants "$pid")
        all+=("$pid")
    done
    [ "${#all[@]}" -eq 0 ] || kill -KILL "${all[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    [ -z "$work" ] || rm -rf "$work"
    [ -z "$made_run_sshd" ] || rmdir /run/sshd 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# await SECONDS WHAT CMD...: try until it succeeds.
await() {
    local left=$(($1 * 50)) what=$2
    shift 2
    until "$@"; do
        [ $((left -= 1)) -gt 0 ] || die "$what did not come"
        sleep 0.02
    done
}

lines() { [ "$(grep -cE "$2" "$1")" -ge "$3" ]; }

# need PROGRAM PACKAGE: install it if it is missing.
need() {
    PATH=$PATH:/usr/sbin command -v "$1" >/dev/null 2>&1 && return
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends "$2" >/dev/null ||
        die "$2 could not be installed"
}

# free_port: a random port of loopback that nobody listens on.
free_port() {
    local candidate
    while :; do
        candidate=$((10000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || break
    done
    echo "$candidate"
}

fetch() {
    python3 - "$1" <<'PYTHON'
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.write(opener.open(f"http://127.0.0.1:{sys.argv[1]}/", timeout=10).read().decode())
PYTHON
}

milliseconds() {
    local now=${EPOCHREALTIME/[.,]/}
    echo $((now / 1000))
}

say "1. Install what is missing and build (the first time takes a minute or two)"
work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-demo.XXXXXX")
{
    packaging/deps.sh linux
    cmake --preset release
    cmake --build --preset release --target holdfast
} >"$work/build.log" 2>&1 </dev/null || die "the build failed; the end of its log:"
need sshd openssh-server
need ssh-keygen openssh-client
need python3 python3-minimal
holdfast=$root/build/release/holdfast
"$holdfast" --version | head -n 1 | show

say "2. The MacBook: a throwaway sshd on loopback, with keys made just now"
sshd=$(PATH=$PATH:/usr/sbin command -v sshd)
ssh-keygen -q -t ed25519 -N '' -C macbook -f "$work/host_key"
ssh-keygen -q -t ed25519 -N '' -C xp-mode -f "$work/macbook.key"
cp "$work/macbook.key.pub" "$work/authorized_keys"
if [ "$(id -u)" -eq 0 ] && [ ! -d /run/sshd ]; then
    mkdir -m 755 /run/sshd
    made_run_sshd=yes
fi
for _ in 1 2 3 4 5 6 7 8 9 10; do
    port=$(free_port)
    cat >"$work/sshd_config" <<CONFIG
ListenAddress 127.0.0.1:$port
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
CONFIG
    : >"$work/sshd.log"
    "$sshd" -D -e -f "$work/sshd_config" 2>"$work/sshd.log" </dev/null &
    macbook=$!
    started() { grep -q '^Server listening' "$work/sshd.log" || ! kill -0 "$macbook" 2>/dev/null; }
    await 10 "sshd" started
    if kill -0 "$macbook" 2>/dev/null; then
        pids+=("$macbook")
        break
    fi
    grep -q 'Address already in use' "$work/sshd.log" || die "sshd does not start"
done
kill -0 "$macbook" 2>/dev/null || die "no free port for sshd"
printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d ' ' -f 1,2 "$work/host_key.pub")" >"$work/known_hosts"
echo "listens on 127.0.0.1:$port" | show

say "3. The XP guest: a web server with one page"
mkdir "$work/guest"
echo "hello from the XP guest" >"$work/guest/index.html"
python3 -u -m http.server --bind 127.0.0.1 --directory "$work/guest" 0 >"$work/guest.log" 2>&1 </dev/null &
pids+=($!)
await 10 "the web server" grep -q 'port [0-9]' "$work/guest.log"
guest=$(sed -nE 's/.* port ([0-9]+) .*/\1/p' "$work/guest.log" | head -n 1)
echo "listens on 127.0.0.1:$guest" | show

say "4. A definition with one -R and one -L, checked, then run"
remote=$(free_port) local_port=$(free_port)
cat >"$work/demo.yaml" <<YAML
hosts:
  macbook:
    hostname: 127.0.0.1
    port: $port
    user: $(id -un)
    identity_file: macbook.key
    known_hosts_file: known_hosts
tunnels:
  xp-mode:
    host: macbook
    forwards:
      - remote: 127.0.0.1:$remote
        to: 127.0.0.1:$guest
      - local: 127.0.0.1:$local_port
        to: 127.0.0.1:$guest
YAML
show <"$work/demo.yaml"
"$holdfast" check -c "$work/demo.yaml" >"$work/check.log" 2>&1 || die "the definition is not valid:"
env -u SSH_AUTH_SOCK XDG_STATE_HOME="$work/state" XDG_RUNTIME_DIR="$work" \
    "$holdfast" run -c "$work/demo.yaml" 2>"$work/holdfast.log" </dev/null &
tunnel=$!
pids+=("$tunnel")
up=' xp-mode: up\b'
await 20 "the tunnel" lines "$work/holdfast.log" "$up" 1
good "up"

fetch_both() {
    local name
    for name in "$remote" "$local_port"; do
        [ "$(fetch "$name")" = "$(cat "$work/guest/index.html")" ] || die "port $name brought another page"
    done
}

say "5. Fetch the page through both"
fetch_both
good "at the MacBook, by the -R, port $remote: $(fetch "$remote")"
good "here, by the -L, port $local_port: $(fetch "$local_port")"

say "6. Kill the SSH session at the MacBook, and touch nothing else"
mapfile -t sessions < <(descendants "$macbook")
[ "${#sessions[@]}" -gt 0 ] || die "no session found to kill"
begun=$(milliseconds)
kill -KILL "${sessions[@]}" 2>/dev/null || true
await 60 "the heal" lines "$work/holdfast.log" "$up" 2
healed=$(($(milliseconds) - begun))
fetch_both
sed -n '/ waiting (was up)/,$p' "$work/holdfast.log" | show
good "healed by itself after $healed ms; the page comes through both again"

say "7. Stop"
kill -TERM "$tunnel"
code=0
wait "$tunnel" || code=$?
[ "$code" -eq 0 ] || die "holdfast ended with $code"
good "exit code 0"
say "Done. holdfast itself stays in build/release for you to use."
