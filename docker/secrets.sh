#!/bin/sh
# Makes the secrets that compose.yaml hands over, those that are not there yet:
#
#     docker/secrets.sh [FOLDER]       without one: docker/secrets
#
# The folder is its owner's alone. The files in it are readable, because in the containers they
# are read by users who are nobody here. Your own keys of services go in by hand.
set -eu

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
umask 022
for name in database_admin_password database_password jwt_key; do
    [ -s "$folder/$name" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name"
done
[ -e "$folder/openai_api_key" ] || : >"$folder/openai_api_key"
