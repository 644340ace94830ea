#!/usr/bin/env bash
# A PostgreSQL cluster of our own in a directory, for ./dev run and for tests that hurt it.
#
#     deps/cluster.sh start DIR [--port P | --socket-only] [--standby-of DIR] [--fast] [NAME=VALUE]...
#     deps/cluster.sh stop DIR [fast | immediate]
#     deps/cluster.sh promote DIR
#     deps/cluster.sh url DIR [--socket]       the TCP address if it has a port, else the socket's
#     deps/cluster.sh remove DIR               stops it at once and deletes all of it
#     deps/cluster.sh after PID COMMAND...     waits for the end of a process, then does COMMAND
#     deps/cluster.sh bin                      where PostgreSQL's programs are
#
# The first start makes the cluster. Options and settings are kept for the next start.
# --fast trades safety in a power failure for speed; what it said is stored still survives
# the death of its processes. Starting what runs and stopping what does not are no errors.
#
# Whoever may enter the socket's directory is the superuser postgres; that is the owner, and
# root. On TCP everybody on the machine could come, so there a password is wanted; `url` has it.
#
# PostgreSQL does not run as root, so root's clusters belong to postgres, or to nobody. Where
# that user may not enter DIR (below /root, say), DIR becomes a link to a place below /var/tmp.
#
#     DIR/data            the cluster         DIR/log         what it says
#     DIR/settings.conf   kept settings       DIR/password    for TCP
#     DIR/socket          for its socket; a short directory elsewhere where that name would be
#     DIR/socket-dir      too long, which this file names
#     DIR/lock            one command at a time; also says that DIR is ours
set -euo pipefail
unset "${!PG@}"                               # PGHOST and its kin would lead elsewhere
export LC_ALL=C                               # ${#name} counts bytes; messages are English
umask 022

here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
most_socket_dir=92                            # 107 less /.s.PGSQL.65535

fail() {
    printf 'cluster: %s\n' "$@" >&2
    exit 1
}

usage() {
    printf 'cluster: %s\n' "$*" >&2
    sed -n 's/^#  *\(deps\/cluster.sh .*\)/    \1/p' "$here/cluster.sh" >&2
    exit 2
}

# ---- Who, and with what -----------------------------------------------------

# Sets uid and gid: who owns the cluster in directory $1, or will. A standby in $1 is its
# primary's ($2), whose socket it has to reach.
choose_owner() {
    local like=$1
    ((EUID == 0)) || [[ ! -d $1 || -O $1 ]] || fail "$1 belongs to $(stat -L -c %U "$1")."
    [[ -e $like/lock ]] || like=${2:-$1}
    uid=$EUID gid=$(id -g)
    if [[ -e $like/lock ]]; then
        uid=$(stat -L -c %u "$like")
        gid=$(stat -L -c %g "$like")
    elif ((EUID == 0)); then
        uid=$(id -u postgres 2>/dev/null) || uid=$(id -u nobody)
        gid=$(id -g postgres 2>/dev/null) || gid=$(id -g nobody)
    fi
    ((uid != 0)) || fail "$1 belongs to root, who may not run PostgreSQL."
    ((EUID == 0 || EUID == uid)) || fail "$like belongs to $(stat -L -c %U "$like")."
}

as_owner() {
    if ((EUID == 0)); then
        setpriv --reuid="$uid" --regid="$gid" --clear-groups -- "$@" 9>&-
    else
        "$@" 9>&-
    fi
}

# write FILE: what comes in, for the owner's eyes only.
write() {
    # shellcheck disable=SC2016
    as_owner sh -c 'umask 077 && cat >"$1"' sh "$1"
}

# Sets bin: the programs of version $1, or of the newest.
find_programs() {
    local version=${1:-} dir
    bin=
    while IFS= read -r dir; do
        [[ ! -x $dir/bin/initdb ]] || ((${dir##*/} < 15)) || bin=$dir/bin
    done < <(compgen -G "/usr/lib/postgresql/${version:-[0-9]*}" | sort -V)
    if [[ ! $bin ]] && bin=$(type -P initdb); then
        bin=$(readlink -f "$bin")
        bin=${bin%/*}
        [[ ! $version || $("$bin/initdb" --version) == *" $version"[.\ a-z]* ]] || bin=
    fi
    [[ $bin ]] || fail "there is no PostgreSQL ${version:-15 or newer} here." \
        "${version:+This cluster was made by it. }deps/install.sh postgres installs what Debian has."
}

# ---- The place --------------------------------------------------------------

# Goes into DIR and makes it first if need be.
make_place() {
    local dir=$1
    [[ $dir != *$'\n'* ]] || fail 'the name of the directory has a line feed in it'
    choose_owner "$dir" "$primary"
    if [[ ! -e $dir/lock ]]; then
        [[ ! -L $dir || -e $dir ]] || rm -f "$dir"    # where it led to is gone
        mkdir -p "$dir"
        [[ -z $(ls -A "$dir") ]] || fail "$dir is not empty, and not a cluster of ours."
        chmod 700 "$dir"
        ((EUID)) || chown "$uid:$gid" "$dir"
        as_owner test -w "$dir" || make_place_elsewhere "$dir"
        (cd -P "$dir" && as_owner touch lock)
    fi
    enter_place "$dir"
}

make_place_elsewhere() {
    local dir=${1%/} other
    other=$(mktemp -d /var/tmp/runnel-postgres.XXXXXX)
    chown "$uid:$gid" "$other"
    if [[ -L $dir ]]; then rm -f "$dir"; else rmdir "$dir"; fi
    ln -s "$other" "$dir"
}

enter_place() {
    cd -P "$1"
    place=$PWD
    export HOME=$place
    exec 9>>lock
    flock 9
}

# Goes into the cluster's directory, or ends the script well when there is none.
visit_place() {
    [[ -d $1 ]] || exit 0
    choose_owner "$1"
    [[ -e $1/lock ]] || fail "$1 is not a cluster of ours."
    enter_place "$1"
    [[ ! -e data/PG_VERSION ]] || find_programs "$(<data/PG_VERSION)"
}

# The socket's directory: in the cluster's, unless that has a name that will not do.
choose_socket_dir() {
    local dir=$place/socket
    if ((${#dir} <= most_socket_dir)) && [[ $dir =~ ^[A-Za-z0-9/._-]+$ ]]; then
        as_owner mkdir -p -m 700 "$dir"
    else
        [[ ! -f socket-dir ]] || dir=$(<socket-dir)
        # After a reboot it may be gone, and in a copied tree it is another cluster's.
        [[ -f $dir/of && $(<"$dir/of") == "$place" ]] || make_short_dir
    fi
    keep unix_socket_directories "$dir"
}

make_short_dir() {
    local top=/tmp own=${XDG_RUNTIME_DIR:-}
    ((EUID == 0 || ${#own} > 60)) || [[ $own != /* || ! -w $own ]] || top=$own
    dir=$(as_owner mktemp -d "$top/runnel-pg.XXXXXX")
    printf '%s\n' "$place" | write "$dir/of"
    printf '%s\n' "$dir" | write socket-dir
}

# ---- Settings ---------------------------------------------------------------

# keep NAME VALUE: into the kept settings, in place of an earlier value.
keep() {
    local value=${2//\\/\\\\}
    kept=$(grep -v "^$1 = " <<<"$kept" || true)
    kept+=${kept:+$'\n'}"$1 = '${value//\'/\'\'}'"
}

# kept_value NAME: of the settings that the last start used.
kept_value() {
    sed -n "s/^$1 = '\(.*\)'\$/\1/p" settings.conf
}

# Reads start's options into asked (name, value, name, value...), made_fast and primary.
read_options() {
    local port
    asked=() made_fast='' primary=''
    while (($#)); do
        case $1 in
            --port) port=${2:-} && shift $(($# > 1))
                [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -lt 65536 ]] || usage '--port wants 1 to 65535'
                asked+=(listen_addresses 127.0.0.1 port "$port") ;;
            --socket-only) asked+=(listen_addresses '' port 5432) ;;
            --standby-of) primary=${2:-} && shift $(($# > 1))
                [[ -e $primary/lock ]] || fail "--standby-of \"$primary\": there is no cluster"
                primary=$(cd -P "$primary" && pwd) ;;
            --fast) made_fast=yes asked+=(fsync off full_page_writes off) ;;
            *=*) [[ ${1%%=*} =~ ^[a-z_][a-z0-9_.]*$ && $1 != *$'\n'* ]] || usage "\"$1\" is not a setting"
                asked+=("${1%%=*}" "${1#*=}") ;;
            *) usage "start: \"$1\" is not an option" ;;
        esac
        shift
    done
}

keep_asked() {
    local i
    [[ $kept == *'listen_addresses = '* ]] || asked=(listen_addresses '' port 5432 ${asked[@]+"${asked[@]}"})
    for ((i = 0; i < ${#asked[@]}; i += 2)); do
        keep "${asked[i]}" "${asked[i + 1]}"
    done
}

# ---- Processes --------------------------------------------------------------

# The process that the cluster names as its own, if it is: numbers come around again.
runs() {
    local pid=
    [[ ! -f data/postmaster.pid ]] || read -r pid <data/postmaster.pid || true
    [[ $pid =~ ^[0-9]+$ ]] && is_ours "/proc/$pid"
}

is_ours() {
    [[ $1/cwd -ef data && $(readlink "$1/exe") == */postgres* ]] 2>/dev/null
}

# Processes of a dead server end by themselves, but a new one must not start before.
bury() {
    local process tries
    [[ -e data/postmaster.pid ]] || return 0
    for ((tries = 0; tries < 100; tries++)); do
        for process in /proc/[0-9]*; do
            ! is_ours "$process" || { sleep 0.1 && continue 2; }
        done
        break
    done
    as_owner rm -f data/postmaster.pid
    find "$(kept_value unix_socket_directories)" -name '.s.PGSQL.*' -delete 2>/dev/null || true
}

# quietly COMMAND...: shows what it says only if it fails.
quietly() {
    local said
    said=$(as_owner "$@" 2>&1 </dev/null) || fail "${1##*/} could not do it:" "$said"
}

launch() {
    local size=0
    [[ ! -f log ]] || size=$(stat -c %s log)
    as_owner "$bin/pg_ctl" -D data -l log -s -w -t 120 start >/dev/null 2>&1 </dev/null && return
    printf 'cluster: PostgreSQL does not start in %s; the end of its log:\n' "$place" >&2
    tail -c "+$((size + 1))" log | tail -n 15 | sed 's/^/    /' >&2
    return 1
}

# A test may have stopped its first process with a signal; that one would not hear another.
halt() {
    kill -CONT "$(head -n 1 data/postmaster.pid)" 2>/dev/null || true
    quietly "$bin/pg_ctl" -D data -s -w -t 120 -m "$1" stop
}

# ---- Making data ------------------------------------------------------------

# A cluster is made beside its place, so that one that is half made is never taken for one.
make_data() {
    as_owner rm -rf data.new
    if [[ $primary ]]; then copy_primary; else make_first; fi
    echo "include '../settings.conf'" | as_owner tee -a data.new/postgresql.conf >/dev/null
    as_owner mv data.new data
}

make_first() {
    od -An -N16 -tx1 /dev/urandom | tr -d ' \n' | write password
    quietly "$bin/initdb" -D data.new -U postgres --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 --pwfile=password --no-instructions \
        ${made_fast:+--no-sync}
}

copy_primary() {
    local dir port
    dir=$(cd "$primary" && kept_value unix_socket_directories)
    port=$(cd "$primary" && kept_value port)
    write password <"$primary/password"
    quietly "$bin/pg_basebackup" -D data.new -d "host=$dir port=$port user=postgres" \
        --wal-method=stream --checkpoint=fast --write-recovery-conf ${made_fast:+--no-sync}
    # The primary's postgresql.conf came along, with the line that is added to every one.
    as_owner sed -i "/^include '..\/settings.conf'\$/d" data.new/postgresql.conf
}

# ---- Commands ---------------------------------------------------------------

cmd_start() {
    local dir=$1 kept='' before
    shift
    read_options "$@"
    make_place "$dir"
    [[ ! -f settings.conf ]] || kept=$(<settings.conf)
    before=$kept
    keep_asked
    if runs; then
        [[ $(sort <<<"$kept") == "$(sort <<<"$before")" ]] ||
            printf 'cluster: %s runs already, with other settings; stop it to change them\n' "$place" >&2
        return
    fi
    if [[ -e data ]]; then
        find_programs "$(<data/PG_VERSION)"
        bury
    else
        find_programs "${primary:+$(<"$primary/data/PG_VERSION")}"
        make_data
    fi
    choose_socket_dir
    write settings.conf <<<"$kept"
    launch || { write settings.conf <<<"$before" && exit 1; }
}

cmd_stop() {
    local mode=${2:-fast}
    [[ $mode == fast || $mode == immediate ]] || usage "stop: \"$mode\" is neither fast nor immediate"
    visit_place "$1"
    ! runs || halt "$mode"
}

cmd_promote() {
    visit_place "$1"
    runs || fail "$place does not run"
    quietly "$bin/pg_ctl" -D data -s -w -t 120 promote
}

cmd_url() {
    local port
    [[ -d $1 ]] || fail "there is no cluster in $1"
    visit_place "$1"
    port=$(kept_value port)
    if [[ ${2:-} != --socket && $(kept_value listen_addresses) ]]; then
        printf 'postgresql://postgres:%s@127.0.0.1:%s/postgres\n' "$(<password)" "$port"
    else
        printf 'postgresql:///postgres?host=%s&port=%s&user=postgres\n' \
            "$(kept_value unix_socket_directories)" "$port"
    fi
}

cmd_remove() {
    local dir=$1 short=''
    [[ $dir == /* ]] || dir=$PWD/$dir
    [[ -d $dir ]] || { rm -f "$dir" && return; }
    ! rmdir "$dir" 2>/dev/null || return 0    # it was never started
    visit_place "$dir"
    # What was killed left shared memory behind, which only its like knows to clear away.
    [[ ! -e data/postmaster.pid ]] || runs || { bury && launch 2>/dev/null; } || true
    ! runs || halt immediate
    [[ ! -f socket-dir ]] || short=$(<socket-dir)
    [[ ! -f $short/of || $(<"$short/of") != "$place" ]] || rm -rf "$short"
    cd /
    rm -rf "$place"
    [[ ! -L $dir ]] || rm -f "$dir"
}

# For those who may be killed: nothing in here needs their help to notice it.
cmd_after() {
    [[ ${1:-} =~ ^[1-9][0-9]*$ ]] || usage 'after wants the number of a process'
    tail --pid="$1" -s 0.3 -f /dev/null
    exec "$here/cluster.sh" "${@:2}"
}

cmd_bin() {
    find_programs
    echo "$bin"
}

command=${1:-}
case $command in
    start | stop | promote | url | remove)
        [[ ${2:-} ]] || usage "$command wants a directory"
        "cmd_$command" "${@:2}" ;;
    after | bin) "cmd_$command" "${@:2}" ;;
    *) usage "\"$command\" is not a command" ;;
esac
