#!/bin/sh
# Does for Debian's MariaDB what the official image's entry point does: makes the database and its
# user at the first start, runs what is in /docker-entrypoint-initdb.d, and becomes the server.
set -eu
socket=/run/mysqld/mysqld.sock
data=/var/lib/mysql
serve="mariadbd --no-defaults --datadir=$data --socket=$socket --skip-name-resolve --skip-log-bin"

if [ ! -e "$data/.complete" ]; then
    find "$data" -mindepth 1 -delete
    mariadb-install-db --no-defaults --datadir="$data" --skip-test-db \
        --auth-root-authentication-method=normal >/dev/null
    $serve "$@" --skip-networking &
    server=$!
    until mariadb-admin --no-defaults --socket="$socket" --user=root ping >/dev/null 2>&1; do
        kill -0 "$server"
        sleep 0.2
    done
    # root comes from this machine too, without a password: it counts what is in the tables.
    mariadb --no-defaults --socket="$socket" --user=root <<SQL
CREATE DATABASE \`$MARIADB_DATABASE\`;
CREATE USER '$MARIADB_USER'@'%' IDENTIFIED BY '$MARIADB_PASSWORD';
GRANT ALL ON \`$MARIADB_DATABASE\`.* TO '$MARIADB_USER'@'%';
CREATE USER healthcheck@localhost;
ALTER USER root@localhost IDENTIFIED VIA unix_socket
    OR mysql_native_password USING PASSWORD('$MARIADB_ROOT_PASSWORD');
SQL
    for file in /docker-entrypoint-initdb.d/*.sql; do
        mariadb --no-defaults --socket="$socket" --user=root --password="$MARIADB_ROOT_PASSWORD" \
            "$MARIADB_DATABASE" <"$file"
    done
    kill "$server"
    wait "$server"
    touch "$data/.complete"
fi
# shellcheck disable=SC2086
exec $serve "$@"
