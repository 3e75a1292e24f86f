# shellcheck shell=bash
# source.sh: source packages through apt, from a root of our own. Sourced by deps.sh.
#
# The machine's sources are read and never changed: from those entries that are Debian's archive the
# wanted suite is derived, and everything apt writes goes under the cache. Trust is Debian's archive
# keyring and nothing else, so an entry taken by mistake verifies or is ignored.
# shellcheck disable=SC2034,SC2154 # shared with deps.sh

debian_keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# lock_rows NAME: the rows of one library in deps.lock.
lock_rows() { awk -v name="$1" '$1 == name' "$here/deps.lock"; }

# lock_field NAME N: field N of its first row.
lock_field() { lock_rows "$1" | awk -v n="$2" 'NR == 1 { print $n }'; }

# machine_entries: every enabled binary entry of the machine's sources as `URI SUITE COMPONENTS...`,
# from both formats. Entries signed by a key that is not Debian's are left out.
machine_entries() {
    local dir=/etc/apt file
    for file in "$dir/sources.list" "$dir"/sources.list.d/*.list; do
        [ -r "$file" ] || continue
        # deb [options] URI SUITE COMPONENT...
        awk '
            { sub(/#.*/, "") }
            $1 != "deb" { next }
            {
                options = ""
                line = $0
                sub(/^[ \t]*deb[ \t]+/, "", line)
                if (line ~ /^\[/) {
                    options = line
                    sub(/\].*/, "", options)
                    sub(/^\[[^]]*\][ \t]*/, "", line)
                }
                if (options ~ /signed-by=/ && options !~ /debian-archive/) next
                print line
            }' "$file"
    done
    for file in "$dir"/sources.list.d/*.sources; do
        [ -r "$file" ] || continue
        awk '
            function flush(   u, s, nu, ns, uris, suites) {
                if (field["types"] ~ /(^| )deb( |$)/ && field["enabled"] !~ /^ *(no|false|0)/ &&
                    (!("signed-by" in field) || field["signed-by"] ~ /debian-archive/)) {
                    nu = split(field["uris"], uris, " ")
                    ns = split(field["suites"], suites, " ")
                    for (u = 1; u <= nu; u++)
                        for (s = 1; s <= ns; s++)
                            print uris[u], suites[s], field["components"]
                }
                split("", field)
                key = ""
            }
            /^#/ { next }
            /^[ \t]*$/ { flush(); next }
            /^[ \t]/ { if (key != "") field[key] = field[key] " " $0; next }
            {
                key = tolower($0)
                sub(/:.*/, "", key)
                field[key] = $0
                sub(/^[^:]*:/, "", field[key])
            }
            END { flush() }' "$file"
    done
}

# derived_entries SUITE [ARCHITECTURE]: deb-src lines for SUITE and its -updates and -security, or with an architecture
# the deb lines of its packages.
derived_entries() {
    local own uri suite rest tail kind=deb-src options=
    [ -z "${2:-}" ] || kind=deb options="arch=$2 "
    # shellcheck disable=SC1091 # the system's file
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    machine_entries | while read -r uri suite rest; do
        case " $rest " in *" main "*) ;; *) continue ;; esac
        tail=${suite#"${own:-none}"}
        [ "$tail" != "$suite" ] || tail=${suite#stable}
        case $tail in
        '' | -updates | -security) ;;
        *) continue ;;
        esac
        printf '%s [%ssigned-by=%s] %s %s main\n' "$kind" "$options" "$debian_keyring" "$uri" "$1$tail"
    done | sort -u
}

# private_apt SUITE [ARCHITECTURE]: make the private root for the sources of SUITE, or for its packages of another
# architecture, and print its apt configuration file.
private_apt() {
    local root=$cache/apt/$1${2:+-$2}
    mkdir -p "$root/lists/partial" "$root/archives/archives/partial" "$root/sources"
    derived_entries "$@" >"$root/sources/derived.list"
    [ -s "$root/sources/derived.list" ] ||
        die "no entry of Debian's archive in this machine's apt sources to derive $1 from:" \
            "set HOLDFAST_LIBSSH2_SOURCE to an unpacked libssh2 instead"
    [ -r "$debian_keyring" ] || die "$debian_keyring is missing: install debian-archive-keyring"
    # The hooks of the machine are for its own lists. As root, apt would drop to a user that cannot
    # write here.
    cat >"$root/apt.conf" <<-CONF
	#clear APT::Update::Pre-Invoke;
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	Dir::State::Lists "$root/lists";
	Dir::Cache "$root/archives";
	Dir::Etc::SourceList "/dev/null";
	Dir::Etc::SourceParts "$root/sources";
	Dir::Etc::PreferencesParts "/dev/null";
	APT::Sandbox::User "$(id -un)";
	Acquire::AllowInsecureRepositories "false";
	Acquire::Retries "3";
	Acquire::http::Timeout "60";
	CONF
    [ -z "${2:-}" ] || cat >>"$root/apt.conf" <<-CONF
	#clear APT::Architectures;
	APT::Architectures { "$(dpkg --print-architecture)"; "$2"; };
	CONF
    printf '%s\n' "$root/apt.conf"
}

# upstream_of VERSION: without epoch and Debian revision.
upstream_of() {
    local version=${1#*:}
    printf '%s\n' "${version%-*}"
}

# newest_first: sort Debian versions on standard input, the newest first.
newest_first() {
    local -a sorted=()
    local version i
    while read -r version; do
        for ((i = 0; i < ${#sorted[@]}; i++)); do
            dpkg --compare-versions "$version" gt "${sorted[i]}" && break
        done
        sorted=("${sorted[@]:0:i}" "$version" "${sorted[@]:i}")
    done
    [ "${#sorted[@]}" -eq 0 ] || printf '%s\n' "${sorted[@]}"
}

# check_archive NAME UPSTREAM DIR: the upstream archive in DIR has the sum of deps.lock.
check_archive() {
    local archive sum wanted
    wanted=$(lock_rows "$1" | awk -v version="$2" '$4 == version { print $5 }')
    for archive in "$3"/*.orig.tar.*; do
        case $archive in *.asc) continue ;; esac
        [ -f "$archive" ] || die "$1 $2: the source package has no upstream archive"
        sum=$(sha256 <"$archive")
        if [ -z "$wanted" ]; then
            note "$1 $2 is not in deps.lock (SHA-256 $sum): taken on the suite's signature alone"
        elif [ "$sum" != "$wanted" ]; then
            die "$1 $2: the upstream archive ${archive##*/} has SHA-256 $sum, and deps.lock wants" \
                "$wanted: it is not the archive this was made for"
        fi
    done
}

# fetch_source NAME: have the newest revision of its source package in $cache/source/NAME, with a
# file `version` beside it. One that is there is used again, so a rebuild needs no network.
fetch_source() {
    local name=$1 dir=$cache/source/$1 package suite glob conf version tmp taken=
    package=$(lock_field "$name" 2) suite=$(lock_field "$name" 3) glob=$(lock_field "$name" 4)
    if [ -s "$dir/version" ]; then
        # shellcheck disable=SC2254 # a pattern on purpose
        case $(upstream_of "$(cat "$dir/version")") in
        $glob)
            check_archive "$name" "$(upstream_of "$(cat "$dir/version")")" "$dir"
            return 0
            ;;
        esac
    fi
    conf=$(private_apt "$suite")
    case " $fetched_suites " in
    *" $suite "*) ;;
    *)
        note "reading the source index of $suite"
        # One mirror's fault is apt's to report: what counts is whether the package is found.
        apt-get -c "$conf" -qq update >&2 || note "apt-get update of $suite had errors"
        fetched_suites="$fetched_suites $suite"
        ;;
    esac
    tmp=$(mktemp -d "$cache/tmp/source.XXXXXX")
    while read -r version; do
        # shellcheck disable=SC2254
        case $(upstream_of "$version") in $glob) ;; *) continue ;; esac
        note "fetching $package $version"
        if (cd "$tmp" && apt-get -c "$conf" -qq source --download-only --only-source \
            "$package=$version" >&2); then
            taken=$version
            break
        fi
        note "$package $version is in the index and cannot be fetched: trying the one before"
    done < <(apt-cache -c "$conf" showsrc --only-source "$package" 2>/dev/null |
        awk -v p="$package" '$1 == "Package:" { ok = $2 == p } $1 == "Version:" && ok { print $2 }' |
        sort -u | newest_first)
    [ -n "$taken" ] ||
        die "no source package of $package $glob could be fetched from $suite (apt's words are above)"
    check_archive "$name" "$(upstream_of "$taken")" "$tmp"
    printf '%s\n' "$taken" >"$tmp/version"
    replace_dir "$tmp" "$dir"
}

# unpack_source NAME DIR: the source with Debian's patches and then ours applied, as DIR. Sets
# source_version and source_revision.
unpack_source() {
    local name=$1 dir=$2 dsc
    if [ "$name" = libssh2 ] && [ -n "${HOLDFAST_LIBSSH2_SOURCE:-}" ]; then
        source_version=$(libssh2_header_version "$HOLDFAST_LIBSSH2_SOURCE")
        source_revision="unpacked source"
        cp -R "$HOLDFAST_LIBSSH2_SOURCE" "$dir"
    else
        fetch_source "$name"
        source_revision=$(cat "$cache/source/$name/version")
        source_version=$(upstream_of "$source_revision")
        for dsc in "$cache/source/$name"/*.dsc; do
            # apt has verified the description by the suite's signature already.
            dpkg-source --no-check -x "$dsc" "$dir" >"$dir.log" 2>&1 || {
                cat "$dir.log" >&2
                die "$name $source_revision does not unpack"
            }
        done
    fi
    apply_patches "$name" "$dir"
}

# patches_of NAME: our patches to it, in name order.
patches_of() {
    local file
    for file in "$here/$1/patches"/*.patch; do
        [ ! -f "$file" ] || printf '%s\n' "$file"
    done
}

apply_patches() {
    local file
    while read -r file; do
        (cd "$2" && patch -p1 --fuzz=0 --forward --batch <"$file") >"$2.log" 2>&1 || {
            cat "$2.log" >&2
            die "${file##*/} does not apply to $1 $source_version ($source_revision)"
        }
    done < <(patches_of "$1")
}
