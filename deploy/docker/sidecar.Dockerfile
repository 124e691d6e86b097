# The sidecar and its workers: `serve` and `worker` are commands of the same program.
FROM python:3.11.14-slim-bookworm AS build
WORKDIR /source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/sidecar
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
RUN /opt/sidecar/bin/pip install --no-deps --no-build-isolation . && /opt/sidecar/bin/pip check

FROM python:3.11.14-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/sidecar --create-home sidecar \
    && install -d -o sidecar -g sidecar -m 2770 /var/lib/whatsapp-media
COPY --from=build /opt/sidecar /opt/sidecar
ENV PATH=/opt/sidecar/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/sidecar
USER 10001:10001
ENTRYPOINT ["sidecar"]
CMD ["serve"]
