#!/bin/sh
# The official image's, of which the stack asks --connect and --innodb_initialized: the server that
# takes part in the network answers, and InnoDB has read its pages.
set -eu
mariadb --no-defaults --socket=/run/mysqld/mysqld.sock --user=healthcheck --batch --skip-column-names \
    --execute "SELECT @@skip_networking, (SELECT 1 FROM information_schema.ENGINES WHERE engine = 'innodb' AND support IN ('YES', 'DEFAULT'))" \
    | grep -q "^0.1$"
