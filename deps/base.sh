#!/usr/bin/env bash
# Makes the image's base where no registry can be asked: a small Debian 13 from the archive.
#
#     deps/base.sh FILE        writes a tar file, unless one of the last seven days is there
#
# It comes from the machine's own mirrors, with its keys, and leaves out what Debian's own slim
# image leaves out. mmdebstrap wants root, or a user who may have namespaces.
set -euo pipefail

here=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
file=${1:?usage: deps/base.sh FILE}
[[ ! $(find "$file" -mtime -7 -size +0 2>/dev/null) ]] || exit 0

main=$("$here/install.sh" --mirror)
security=$("$here/install.sh" --mirror Debian-Security)
[[ $main ]] || {
    echo 'base: apt knows no mirror of Debian (apt-get indextargets shows none).' >&2
    exit 1
}
sources=("deb $main trixie main" ${security:+"deb $security trixie-security main"})
options=(--variant=minbase --quiet
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright'
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*'
    --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='Apt::Install-Recommends "false"'
    --aptopt='Acquire::Languages "none"')
[[ ${sources[*]} != *' https:'* ]] || options+=(--include=ca-certificates)
# How this machine reaches its mirror is how the base does.
while read -r line; do
    options+=(--aptopt="${line%;}")
done < <(apt-config dump --no-empty Acquire | grep -E '::(Proxy|Check-Valid-Until|Check-Date) ' || true)

mkdir -p "$(dirname "$file")"
trap 'rm -f "$file.part"' EXIT
mmdebstrap "${options[@]}" --format=tar trixie "$file.part" "${sources[@]}"
mv "$file.part" "$file"
