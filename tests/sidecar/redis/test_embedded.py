"""The embedded Valkey: who starts it, who shares it, and what survives."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sidecar.redis import embedded
from sidecar.redis.embedded import DURABLE, EmbeddedFailed
from sidecar.settings import Settings, dramatiq_url
from tests.conftest import MakeSettings

#: Holds the embedded Valkey until its standard input is closed.
HOLDER = """
import sys
from sidecar.redis import embedded
from sidecar.settings import Settings
with embedded.redis_url(Settings.load()) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(make_settings: MakeSettings) -> Iterator[Settings]:
    """A server that a failed test has left is ended."""
    settings = make_settings()
    yield settings
    url = f"unix://{settings.data_dir}/valkey.sock"
    with connected(url) as client, suppress(redis.RedisError):
        client.shutdown(nosave=True)


@contextmanager
def connected(url: str) -> Iterator[redis.Redis]:
    retry = Retry(NoBackoff(), 0)
    with redis.Redis.from_url(url, decode_responses=True, retry=retry) as client:
        yield client


def pid_of(client: redis.Redis) -> int:
    info = client.info("server")
    assert isinstance(info, dict)
    return int(info["process_id"])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def holder(settings: Settings) -> Iterator["subprocess.Popen[str]"]:
    """Another process that uses the embedded Valkey, and says so before this goes on."""
    environment = {
        "SIDECAR_BACKEND_URL": settings.backend_url,
        "SIDECAR_SIGNING_KEYS": "a:0123456789abcdef",
        "SIDECAR_DATA_DIR": str(settings.data_dir),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("unix://")
        yield process
    finally:
        process.communicate(timeout=20)


def test_a_redis_that_is_configured_is_used(make_settings: MakeSettings, tmp_path: Path) -> None:
    with embedded.redis_url(make_settings(redis_url="redis://elsewhere/3")) as url:
        assert url == "redis://elsewhere/3"
    assert list(tmp_path.iterdir()) == []


def test_it_runs_while_it_is_used_and_keeps_its_data(settings: Settings) -> None:
    with embedded.redis_url(settings) as url, connected(url) as client:
        pid = pid_of(client)
        assert is_running(pid)
        client.set("a", "1")
        with connected(dramatiq_url(settings, url)) as other:
            assert other.get("a") is None
            other.set("b", "2")
        for name, value in DURABLE.items():
            assert client.config_get(name) == {name: str(value)}
        assert client.config_get("port") == {"port": "0"}
    assert not is_running(pid)

    with embedded.redis_url(settings) as url, connected(url) as client:
        assert client.get("a") == "1"
        with connected(dramatiq_url(settings, url)) as other:
            assert other.get("b") == "2"
        assert pid_of(client) != pid


def test_the_folder_may_have_any_name(make_settings: MakeSettings, tmp_path: Path) -> None:
    settings = make_settings(data_dir=tmp_path / "50%25?#")
    with embedded.redis_url(settings) as url, connected(dramatiq_url(settings, url)) as client:
        assert client.ping()
        assert (tmp_path / "50%25?#" / "valkey.sock").is_socket()


def test_it_stops_also_after_an_error(settings: Settings) -> None:
    using = embedded.redis_url(settings)
    with connected(using.__enter__()) as client:
        pid = pid_of(client)
    assert is_running(pid)
    error = ZeroDivisionError()
    assert not using.__exit__(type(error), error, None)
    assert not is_running(pid)


def test_the_second_process_shares_it(settings: Settings) -> None:
    with holder(settings):
        with embedded.redis_url(settings) as url, connected(url) as client:
            pid = pid_of(client)
            client.set("a", "1")
        assert is_running(pid), "it belongs to the other process"
    assert not is_running(pid)


def test_the_second_process_waits_until_it_answers(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [False, False, True]
    monkeypatch.setattr(embedded, "_answers", lambda client: answers.pop(0))
    folder = settings.data_dir.resolve()
    with locked(folder), embedded.redis_url(settings) as url:
        assert url == f"unix://{folder}/valkey.sock"
    assert answers == []


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Another process holds the lock, as if it were just starting the server."""
    folder.mkdir(exist_ok=True)
    script = "import fcntl, sys\nlock = open(sys.argv[1], 'w')\nfcntl.flock(lock, fcntl.LOCK_EX)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script + "print(flush=True)\nsys.stdin.read()", "valkey.lock"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.communicate(timeout=20)


def test_nobody_answers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 0.2)
    with (
        locked(settings.data_dir.resolve()),
        pytest.raises(EmbeddedFailed, match="no Valkey answers there"),
        embedded.redis_url(settings),
    ):
        pass


def test_a_server_whose_owner_was_killed_is_taken_over(settings: Settings) -> None:
    with holder(settings) as owner:
        with connected(f"unix://{settings.data_dir.resolve()}/valkey.sock") as client:
            pid = pid_of(client)
            client.set("a", "1")
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        assert is_running(pid)
        with embedded.redis_url(settings) as url, connected(url) as client:
            assert pid_of(client) == pid
            assert client.get("a") == "1"
            client.set("b", "2")
    assert not is_running(pid)
    with embedded.redis_url(settings) as url, connected(url) as client:
        assert client.mget("a", "b") == ["1", "2"]


def test_a_server_that_was_killed_is_started_again(settings: Settings) -> None:
    with embedded.redis_url(settings) as url, connected(url) as client:
        client.set("a", "1")
        os.kill(pid_of(client), signal.SIGKILL)
    with embedded.redis_url(settings) as url, connected(url) as client:
        assert client.get("a") == "1"


@pytest.mark.parametrize("name", ["x" * 100, "with a space"])
def test_a_folder_in_which_it_cannot_start(
    make_settings: MakeSettings, tmp_path: Path, name: str
) -> None:
    settings = make_settings(data_dir=tmp_path / name)
    with pytest.raises(EmbeddedFailed) as raised, embedded.redis_url(settings):
        pass
    text = str(raised.value)
    assert len(text.splitlines()) == 1
    assert text.startswith("the embedded Valkey did not start: ")
    assert text.endswith(f"{name}/valkey.log may say more")


def test_a_folder_that_cannot_be_made(make_settings: MakeSettings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = make_settings(data_dir=tmp_path / "file" / "var")
    with (
        pytest.raises(EmbeddedFailed, match="data_dir cannot be used"),
        embedded.redis_url(settings),
    ):
        pass
