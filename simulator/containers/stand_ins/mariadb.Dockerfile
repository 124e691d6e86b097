# Debian's MariaDB in place of the image mariadb: the same users, paths, variables and scripts.
FROM debian:12.12-slim
RUN groupadd --system --gid 999 mysql && useradd --system --uid 999 --gid 999 mysql \
    && apt-get update && apt-get install -y --no-install-recommends mariadb-server \
    && rm -rf /var/lib/apt/lists/* /var/lib/mysql \
    && install -d -o mysql -g mysql /var/lib/mysql /run/mysqld /docker-entrypoint-initdb.d
# Whoever the server runs as, and with a file system in memory that takes on what it covers.
RUN chmod 1777 /run/mysqld
COPY simulator/containers/stand_ins/docker-entrypoint.sh simulator/containers/stand_ins/healthcheck.sh \
    /usr/local/bin/
ENTRYPOINT ["docker-entrypoint.sh"]
