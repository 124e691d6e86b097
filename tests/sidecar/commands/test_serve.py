"""``sidecar serve``: what keeps it from starting is one line. (Serving itself:
``tests/sidecar/http/test_serve.py``.)"""

import signal
import socket
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from sidecar import logs
from sidecar.commands.main import main
from tests import trust

pytestmark = pytest.mark.usefixtures("own_environment", "own_signals")


@pytest.fixture
def own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the command does with signals and logging is undone."""
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def serve(**environment: str) -> Result:
    settings = {
        "SIDECAR_BACKEND_URL": "http://127.0.0.1:9",
        "SIDECAR_SIGNING_KEYS": f"{trust.KEY_ID}:{trust.SIGNING_SECRET}",
    }
    return CliRunner().invoke(main, ["serve"], env={**settings, **environment})


def test_an_embedded_valkey_that_does_not_start() -> None:
    result = serve(SIDECAR_DATA_DIR="x" * 120, SIDECAR_PORT="0")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the embedded Valkey did not start: ")
    assert len(result.stderr.splitlines()) == 1


def test_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = serve(SIDECAR_PORT=str(port), SIDECAR_HOST="127.0.0.1")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot listen on 127.0.0.1 port {port}: ")
