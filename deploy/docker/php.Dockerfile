# PHP-FPM with the reference application, on the packages that the tests of the stack use. For an
# application of your own, put it in place of simulator/stack/laravel_app, with the package in contracts/laravel.
FROM debian:12.12-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends libfcgi-bin php-laravel-framework php8.2-curl \
        php8.2-fpm php8.2-mbstring php8.2-mysql php8.2-xml \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/docker/php-fpm.conf /etc/php/8.2/fpm/php-fpm.conf
COPY contracts/laravel /srv/whatsapp/contracts/laravel
COPY simulator/stack/laravel_app /srv/whatsapp/simulator/stack/laravel_app
RUN mkdir -p /var/lib/whatsapp/bootstrap /var/lib/whatsapp/logs \
        /var/lib/whatsapp/framework/cache/data /var/lib/whatsapp/framework/views \
    && chown -R www-data:www-data /var/lib/whatsapp \
    # The volume of media is the sidecar's, whichever container comes first.
    && install -d -o 10001 -g 10001 -m 2770 /var/lib/whatsapp-media
WORKDIR /srv/whatsapp/simulator/stack/laravel_app
USER www-data
EXPOSE 9000
CMD ["php-fpm8.2", "--nodaemonize", "--fpm-config", "/etc/php/8.2/fpm/php-fpm.conf"]
