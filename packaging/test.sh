#!/usr/bin/env bash
# test.sh [STEP]...: everything that has to be right before a change lands, on Debian, as root or with sudo.
#
# Steps, in the order they run when none is named:
#   deps      install packages, build the libraries for Linux and for 64-bit and 32-bit Windows
#   style     clang-format, shellcheck
#   release   gcc, -Werror; unit, integration (a gibibyte each way) and fault tests
#   asan      AddressSanitizer and UndefinedBehaviorSanitizer; the same tests with smaller transfers
#   clang     clang, -Werror; unit tests
#   tidy      clang-tidy over all of our C
#   windows   the cross build for 64 bits, its zip and installer, and their tests under Wine
#   windows-x86  the same for 32 bits; of the tests those of the image and the unit tests
#   demo      packaging/demo.sh in a fresh clone, which must leave no process and no file behind
# Logs are kept in build/test-logs. The last line says how many checks passed and failed; the exit code is 0 if all did.
#
# HOLDFAST_SIZE   bytes of the big transfers (1G; 64M for a quick run)
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
logs=$PWD/build/test-logs
passed=0
failed=0
failures=()
jobs=$(nproc 2>/dev/null || echo 2)

note() { printf '\n== %s\n' "$*"; }

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"
    exit "$1"
}

# check NAME CMD...: run one check; its output goes to a log, whose end is shown when it fails.
check() {
    local name=$1 begun=$SECONDS
    shift
    if "$@" >"$logs/$name.log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        printf 'ok      %-28s %4d s\n' "$name" $((SECONDS - begun))
        return 0
    fi
    failed=$((failed + 1))
    failures+=("$name")
    printf 'FAILED  %-28s %4d s; the end of %s:\n' "$name" $((SECONDS - begun)) "build/test-logs/$name.log"
    tail -n 60 "$logs/$name.log" | sed 's/^/    /'
    return 1
}

# tests PRESET [CTEST WORDS]...: run ctest and count its tests instead of the run. Most tests wait more than they work, so one
# more runs at a time than there are processors.
tests() {
    local preset=$1 log=$logs/$1-tests.log ok bad name
    shift
    ctest --preset "$preset" -j $((jobs + 1)) "$@" 2>&1 </dev/null | tee "$log" | grep -E '^ *[0-9]+/[0-9]+ Test' || true
    ok=$(grep -cE '^ *[0-9]+/[0-9]+ Test .* Passed ' "$log")
    bad=$(grep -E '^ *[0-9]+/[0-9]+ Test ' "$log" | grep -cvE ' Passed ')
    if [ $((ok + bad)) -eq 0 ]; then
        bad=1
        failures+=("$preset: no test ran")
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    while read -r name; do
        failures+=("$preset: $name")
    done < <(sed -nE '/ Passed /!s/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: ([^ ]+).*/\1/p' "$log")
    if [ "$bad" -gt 0 ]; then
        grep -vE '^ *(Start|[0-9]+\/[0-9]+ Test) ' "$log" | tail -n 120 | sed 's/^/    /'
    fi
}

build() {
    check "$1-configure" cmake --preset "$1" && check "$1-build" cmake --build --preset "$1" -j "$jobs"
}

sources() { git ls-files '*.c' '*.h'; }

format_is_ours() {
    sources | xargs -r clang-format --dry-run -Werror
}

scripts_are_clean() {
    {
        git ls-files '*.sh'
        echo .ci/run
    } | xargs -r shellcheck -x
}

# clang-tidy needs the compile commands of the clang preset. Only what is compiled there is looked at.
tidy() {
    [ -f build/clang/compile_commands.json ] || cmake --preset clang || return 1
    git ls-files 'src/*.c' | xargs -r packaging/tidy.py build/clang "$jobs"
}

step_deps() {
    check deps-linux packaging/deps.sh linux test
    check deps-windows packaging/deps.sh windows test
    check deps-windows-x86 packaging/deps.sh windows-x86 test
}

step_style() {
    check clang-format format_is_ours
    check shellcheck scripts_are_clean
}

step_release() { build release && tests release; }

# Time and memory under the sanitizers say nothing, so what compares those alone runs in the release build only.
step_asan() {
    build asan && HOLDFAST_SIZE=${HOLDFAST_ASAN_SIZE:-32M} tests asan -LE bench -E '^integration\.(crowd|stalled)$'
}

step_clang() { build clang && tests clang -L unit; }

step_tidy() { check clang-tidy tidy; }

step_windows() { build windows-x64 && check windows-dist packaging/windows/build.sh && tests windows-x64; }

step_windows-x86() {
    build windows-x86 && check windows-x86-dist packaging/windows/build.sh windows-x86 && tests windows-x86
}

# What is committed is cloned and run with a TMPDIR of its own, in which nothing may be left.
demo_in_a_fresh_clone() {
    local place left code=0
    place=$(mktemp -d) || return 1
    mkdir "$place/tmp"
    git clone -q . "$place/clone" && TMPDIR=$place/tmp "$place/clone/packaging/demo.sh" || code=$?
    left=$(ls -A "$place/tmp")
    [ -z "$left" ] || { echo "files left: $left" && code=1; }
    # The words to look for come from standard input, so that grep does not find itself.
    # shellcheck disable=SC2062
    if grep -laF -f - /proc/[0-9]*/cmdline 2>/dev/null <<<"$place"; then
        echo "processes left" && code=1
    fi
    [ -z "$(git -C "$place/clone" status --porcelain)" ] || { echo "the clone has been changed" && code=1; }
    rm -rf "$place"
    return "$code"
}

step_demo() { check demo demo_in_a_fresh_clone; }

all=(deps style release asan clang tidy windows windows-x86 demo)
for step in "$@"; do
    case $step in
    -h | --help) usage 0 ;;
    esac
    [[ " ${all[*]} " == *" $step "* ]] || usage 2 >&2
done
[ $# -gt 0 ] || set -- "${all[@]}"

mkdir -p "$logs"
for step in "$@"; do
    note "$step"
    "step_$step"
done

if [ "$failed" -gt 0 ]; then
    note "what failed"
    printf '%s\n' "${failures[@]}"
fi
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
