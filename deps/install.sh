#!/usr/bin/env bash
# Installs the Debian packages of the named groups (see deps/packages).
#
#     deps/install.sh build test       install what is missing
#     deps/install.sh --check build    install nothing; exit 1 if something is missing
#     deps/install.sh --mirror [Debian-Security]    where this machine gets Debian from
#
# Knows Debian 12 and 13. Works as root, or as a user who may use sudo. When all
# is there it takes milliseconds. Debian 12 has no llhttp and no yyjson; these come from
# Debian 13's archive on the machine's own mirror, through a sources list that
# exists only while this runs. apt's settings stay as they are, nothing is
# removed, and nothing already installed comes from another release than before.
set -euo pipefail

here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
log=${here%/*}/.dev/deps.log
PATH=$PATH:/usr/sbin:/sbin                    # an ordinary user's PATH lacks them
private=                                      # the short-lived apt directory
held_back=()                                  # services that must not run
policy=/usr/sbin/policy-rc.d
no_main=/etc/postgresql-common/createcluster.d/runnel.conf

say() { printf 'deps: %s\n' "$*"; }

fail() {
    printf 'deps: %s\n' "$@" >&2
    exit 1
}

# ---- What is wanted, and what is missing ------------------------------------

# Fills own, newer (package names) and why (by name) with what is missing.
find_missing() {
    local group package or release text
    local -a ask=()
    own=() newer=()
    declare -gA why=() home=()
    while read -r group package or release text; do
        [[ " $* " == *" $group "* ]] || continue
        if serves "$or"; then continue; fi
        [[ -v why[$package] ]] || ask+=("$package")
        why[$package]=$text home[$package]=$release
    done < <(grep -v '^#' "$here/packages")
    ((${#ask[@]})) || return 0
    drop_installed "${ask[@]}"
    for package in "${ask[@]}"; do
        [[ -v why[$package] ]] || continue
        if [[ ${home[$package]} == 13 && $debian == 12 ]]; then
            newer+=("$package")
        else
            own+=("$package")
        fi
    done
}

# Is there what column "or" names: a command, or a file that fits a pattern?
serves() {
    case $1 in
        -) return 1 ;;
        /*) compgen -G "$1" >/dev/null ;;
        *) type -P "$1" >/dev/null ;;
    esac
}

drop_installed() {
    local state package
    while read -r state package; do
        [[ $state != installed ]] || unset "why[$package]"
    done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null || true)
}

# The number of the Debian release, or nothing where this is not Debian.
debian_release() {
    local ID='' VERSION_ID=''
    # shellcheck source=/dev/null
    [[ ! -r /etc/os-release ]] || . /etc/os-release
    [[ $ID != debian ]] || echo "$VERSION_ID"
}

# ---- apt, quietly and patiently ---------------------------------------------

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif [[ -t 2 ]]; then
        sudo "$@"                             # may ask for the password
    else
        sudo -n "$@"
    fi
}

need_root() {
    ((EUID == 0)) && return
    type -P sudo >/dev/null || fail 'installing needs root, and there is no sudo. As root, run:' \
        "    deps/install.sh ${groups[*]}"
    if [[ -t 2 ]]; then
        sudo -v || fail 'sudo did not let us install; nothing was changed.'
    else
        sudo -n true 2>/dev/null || fail 'installing needs sudo without a password here. As root, run:' \
            "    deps/install.sh ${groups[*]}"
    fi
}

# Waits for other users of apt: dpkg's lock by option, the lists' lock by trying again.
apt_run() {
    local try
    for ((try = 0; try < 60; try++)); do
        as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y \
            -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 \
            -o Dpkg::Options::=--force-confold "$@" </dev/null >>"$log" 2>&1 && return
        tail -n 5 "$log" | grep -q 'Could not get lock' || return 1
        sleep 3
    done
    return 1
}

show_log() {
    printf 'deps: apt could not do it. The end of its output (all of it: %s):\n' "$log" >&2
    tail -n 30 "$log" | sed 's/^/    /' >&2
    exit 1
}

# Would installing change what is already there? $1: may packages be brought up to
# date within their release (libc6-dev, for one, wants exactly its libc6)?
check_plan() {
    local may_update=$1 plan removed updated
    shift
    plan=$(LC_ALL=C apt-get -s --no-install-recommends "$@" 2>>"$log") ||
        { printf '%s\n' "$plan" >>"$log"; show_log; }
    printf '%s\n' "$plan" >>"$log"
    removed=$(awk '$1 == "Remv" { print " " $2 }' <<<"$plan" | tr -d '\n')
    updated=$(awk '$1 == "Inst" && $3 ~ /^\[/ { print " " $2 }' <<<"$plan" | tr -d '\n')
    [[ -z $removed ]] || fail "apt would remove:$removed" 'Nothing was changed; this needs a look by hand.'
    [[ -z $updated ]] && return
    [[ $may_update == yes ]] || fail "apt would upgrade to Debian 13:$updated" \
        'Nothing was changed; this needs a look by hand.'
    say "also brings up to date within Debian $debian:$updated"
}

# ---- The machine's own release ----------------------------------------------

install_own() {
    local -a args=(install "${own[@]}")
    check_plan yes "${args[@]}"
    keep_services_down
    keep_databases_away
    apt_run --no-install-recommends "${args[@]}" || show_log
    allow_services
    allow_databases
}

# Tests and benchmarks want the programs, not a web server on port 80 or a pooler on 6432.
# Only these two are held back: what already runs here is for apt to restart as ever.
keep_services_down() {
    local package
    for package in "${own[@]}"; do
        [[ $package != nginx && $package != pgbouncer ]] || held_back+=("$package")
    done
    ((${#held_back[@]})) && [[ ! -e $policy ]] || return 0
    write_policy "${held_back[@]}" | as_root sh -c "cat >$policy && chmod 755 $policy"
    policy_is_ours=yes
}

# Debian asks it with the name of a script or of a unit, and what is to be done with it.
write_policy() {
    printf '#!/bin/sh\n# deps/install.sh was here; safe to delete\ncase " $* " in\n'
    printf '    *" %s "*) exit 101 ;;\n' "$@" "${@/%/.service}"
    printf 'esac\nexit 0\n'
}

allow_services() {
    local service
    [[ ${policy_is_ours:-} != yes ]] || as_root rm -f "$policy"
    policy_is_ours=
    for service in ${held_back[@]+"${held_back[@]}"}; do
        if type -P systemctl >/dev/null; then
            as_root systemctl disable "$service" >>"$log" 2>&1 || true
        else
            as_root update-rc.d "$service" disable >>"$log" 2>&1 || true
        fi
    done
    held_back=()
}

# Debian makes a database cluster "main" with the first server of a version, and starts it.
# Its own switch against that is a file that we need only while apt runs: clusters that are
# there, and what later installations do, stay as the machine's owner wants them.
keep_databases_away() {
    [[ " ${own[*]} " == *' postgresql '* && ! -e $no_main ]] || return 0
    as_root install -d -m 755 "${no_main%/*}"
    echo 'create_main_cluster = false' | as_root sh -c "cat >$no_main"
    no_main_is_ours=yes
}

allow_databases() {
    [[ ${no_main_is_ours:-} == yes ]] || return 0
    as_root rm -f "$no_main"
    as_root rmdir --ignore-fail-on-non-empty "${no_main%/*}"
    no_main_is_ours=
}

# ---- Debian 13's archive for Debian 12 --------------------------------------

# The address this machine fetches Debian from, or what has the label $1, as apt knows it.
mirror() {
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(CODENAME) $(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' |
        awk -v label="${1:-Debian}" '
             $1 ~ /^(bookworm|trixie)(-security)?$/ && $2 == "Debian" && $3 == label && $4 == "main" && !found {
                 found = $5
             }
             END { print found }'
}

# Fills newer_apt with the options that make apt see both releases, in a place of its own.
open_newer() {
    local address keys=/usr/share/keyrings/debian-archive-keyring.gpg
    address=$(mirror)
    [[ $address ]] || fail 'apt knows no mirror of Debian 12 (apt-get indextargets shows none).'
    private=$(mktemp -d)
    chmod 755 "$private"
    mkdir "$private/lists"
    [[ -r $keys ]] && keys="[signed-by=$keys]" || keys=
    printf "deb $keys %s %s main\n" "$address" bookworm "$address" trixie >"$private/sources.list"
    newer_apt=(-o "Dir::Etc::sourcelist=$private/sources.list" -o Dir::Etc::sourceparts=-
        -o "Dir::State::Lists=$private/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
        -o APT::Default-Release=bookworm -o Acquire::Languages=none)
}

install_newer() {
    local -a args
    open_newer
    args=("${newer_apt[@]}" install "${newer[@]/%//trixie}")
    apt_run "${newer_apt[@]}" update || show_log
    check_plan no "${args[@]}"
    apt_run --no-install-recommends "${args[@]}" || show_log
}

tidy() {
    [[ -z $private ]] || as_root rm -rf "$private"
    allow_services
    allow_databases
}

# ---- The order of things ----------------------------------------------------

announce() {
    local package
    say "needed for ${groups[*]}, and missing on this machine:"
    for package in "${own[@]}" "${newer[@]}"; do
        printf '    %-16s %s' "$package" "${why[$package]}"
        [[ ${home[$package]} == 13 && $debian == 12 ]] && printf ' (from Debian 13)'
        printf '\n'
    done
}

install_missing() {
    local started=$SECONDS
    announce
    [[ $debian == 12 || $debian == 13 ]] ||
        fail 'this script knows Debian 12 and 13 only. Please install the packages above yourself.'
    need_root
    mkdir -p "${log%/*}"
    : >"$log"
    trap tidy EXIT
    # A source of someone else's may be broken; what matters is whether installing works.
    apt_run update || true
    ((${#own[@]} == 0)) || install_own
    ((${#newer[@]} == 0)) || install_newer
    find_missing "${groups[@]}"
    ((${#own[@]} + ${#newer[@]} == 0)) || fail "still missing: ${own[*]} ${newer[*]} (see $log)"
    say "installed in $((SECONDS - started)) s"
}

[[ ${1:-} != --mirror ]] || { mirror "${@:2}"; exit; }
check_only=
[[ ${1:-} != --check ]] || { check_only=yes; shift; }
groups=("$@")
((${#groups[@]})) || fail 'usage: deps/install.sh [--check] GROUP...' \
    "groups: $(awk '!/^#/ && NF && !seen[$1]++ { printf "%s ", $1 }' "$here/packages")"
for group in "${groups[@]}"; do
    grep -q "^$group " "$here/packages" || fail "no group \"$group\" in deps/packages"
done

debian=$(debian_release)
find_missing "${groups[@]}"
((${#own[@]} + ${#newer[@]})) || exit 0
[[ -z $check_only ]] || fail "missing: ${own[*]} ${newer[*]}"
install_missing
