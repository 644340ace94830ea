#!/bin/sh
# Makes the role and the database that runnel uses; PostgreSQL's image runs it once, for a new
# cluster. By hand: PASSWORD_FILE=... sh docker/database.sh, as somebody whom psql lets make roles.
# runnel's own role owns its database and nothing else; `runnel migrate` makes the tables.
set -eu

PASSWORD_FILE=${PASSWORD_FILE:-/run/secrets/database_password}
export PASSWORD_FILE
# The password is read by psql itself, so that no list of processes shows it.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set password `cat "$PASSWORD_FILE"`
CREATE ROLE runnel LOGIN PASSWORD :'password';
CREATE DATABASE runnel OWNER runnel ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C.UTF-8';
REVOKE ALL ON DATABASE runnel FROM PUBLIC;
SQL
