# Debian's Redis in place of the image redis: the same user and folder.
FROM debian:12.12-slim
RUN groupadd --system --gid 999 redis && useradd --system --uid 999 --gid 999 redis \
    && apt-get update && apt-get install -y --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* && install -d -o redis -g redis /data
WORKDIR /data
CMD ["redis-server"]
