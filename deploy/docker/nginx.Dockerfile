# nginx on the configuration in nginx/, in the version that the tests use.
FROM debian:12.12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl nginx-light \
    && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled \
    && install -d -o www-data -g www-data -m 0700 \
        /var/lib/nginx/files /var/lib/nginx/internal /var/lib/nginx/webhooks
# In these two places docker-compose.yml puts file systems in memory, which take on the mode of what they
# cover, and belong to root.
RUN chmod 1777 /var/lib/nginx/internal /var/lib/nginx/webhooks
COPY deploy/docker/nginx.conf /etc/nginx/nginx.conf
COPY deploy/docker/site.conf /etc/nginx/site.conf
COPY nginx/sidecar /etc/nginx/sidecar
COPY simulator/stack/laravel_app/public /srv/whatsapp/simulator/stack/laravel_app/public
USER www-data
EXPOSE 8080
STOPSIGNAL SIGQUIT
CMD ["nginx", "-e", "stderr"]
