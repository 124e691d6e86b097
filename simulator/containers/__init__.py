"""``docker-compose.yml`` built and run, with Debian's podman: ``make compose-test``."""
