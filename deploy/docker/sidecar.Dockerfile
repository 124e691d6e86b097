# The sidecar and its workers: `serve` and `worker` are commands of the same program. The image has
# Python, the program and what both need: no shell, no package manager, no pip, no compiler.
FROM debian:12.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
WORKDIR /source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3 -m venv /opt/sidecar
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN for pins in build runtime; do \
        /opt/sidecar/bin/pip install --require-hashes --no-deps --only-binary :all: \
            -r "requirements/$pins.txt" || exit 1; \
    done
COPY pyproject.toml README.md LICENSE ./
COPY contracts contracts
COPY sidecar sidecar
COPY workers workers
COPY simulator simulator
RUN /opt/sidecar/bin/pip install --no-deps --no-build-isolation . && /opt/sidecar/bin/pip check \
    && /opt/sidecar/bin/pip uninstall --yes setuptools pip \
    && find /opt/sidecar -depth -type d \( -name tests -o -name include \) -exec rm -r {} +

# Python's packages and the libraries that they and the wheels load, without what is only read.
FROM debian:12.12-slim AS root
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3
COPY deploy/docker/sidecar-root /usr/local/bin/
RUN sidecar-root /image base-files ca-certificates libc6 libgcc-s1 libstdc++6 zlib1g libbz2-1.0 \
        libcrypt1 libdb5.3 libexpat1 libffi8 liblzma5 libsqlite3-0 libssl3 libuuid1 \
        python3-minimal python3 python3.11-minimal python3.11 libpython3.11-minimal libpython3.11-stdlib

FROM scratch
COPY --from=root /image /
COPY --from=build /opt/sidecar /opt/sidecar
ENV PATH=/opt/sidecar/bin:/usr/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /var/lib/sidecar
USER 10001:10001
ENTRYPOINT ["sidecar"]
CMD ["serve"]
