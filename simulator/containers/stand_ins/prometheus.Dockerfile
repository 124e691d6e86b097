# Debian's Prometheus in place of the image prom/prometheus: the same user, folders and entry point.
FROM debian:12.12-slim
RUN apt-get update && apt-get install -y --no-install-recommends prometheus wget \
    && rm -rf /var/lib/apt/lists/* && install -d -o nobody -g nogroup /prometheus
USER nobody
WORKDIR /prometheus
ENTRYPOINT ["prometheus"]
