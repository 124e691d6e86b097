"""The reference application once more, on the same database, with other settings."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from simulator.stack.application import APPLICATION, Application
from simulator.stack.nginx import NO_SIDECAR, Nginx
from tests.contract.laravel import LaravelBackend


@contextmanager
def another_application(
    backend: LaravelBackend, folder: Path, variables: Mapping[str, str], workers: int = 1
) -> Iterator[Nginx]:
    """Run it with these variables of its environment, behind an nginx of its own."""
    seen = {**backend.installation.application.variables, **variables}
    with (
        Application(folder / "php", seen, workers=workers) as php,
        Nginx(
            folder / "nginx",
            sidecar=NO_SIDECAR,
            php=f"unix:{php.socket}",
            root=APPLICATION / "public",
        ) as nginx,
    ):
        yield nginx
