#!/bin/sh
# run_pytest.sh PYTHON FILE [PYTEST WORDS]...: a file of tests with a folder of its own and, for root on Linux, with a
# loopback of its own, so that files that run at the same time cannot take each other's ports.
set -eu
python=$1
shift
folder=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-test.XXXXXX")
pid=
trap 'rm -rf "$folder"' EXIT
trap 'if [ -n "$pid" ]; then kill "$pid"; wait "$pid"; fi; exit 130' INT TERM
chmod 755 "$folder"
set -- "$python" -B -m pytest -q --basetemp="$folder/t" "$@"
if [ "$(id -u)" -eq 0 ] && unshare --net true 2>/dev/null; then
    # shellcheck disable=SC2016 # the inner shell's words
    set -- unshare --net setpriv --pdeathsig KILL sh -c 'ip link set lo up && exec "$@"' sh "$@"
fi
"$@" &
pid=$!
wait "$pid"
