"""``sidecar init``: from nothing to settings that every command reads."""

import os
import pty
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from sidecar import logs
from sidecar.commands.main import main
from sidecar.settings import CONFIG_VARIABLE, Settings
from tests.eventually import PATIENCE_S
from tests.sidecar.commands.setup.made import SECRET

ROOT = Path(__file__).parents[3]
NOWHERE = "http://127.0.0.1:9"

Init = Callable[..., Result]


@pytest.fixture(autouse=True)
def logging_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "configure", lambda *arguments: None)


@pytest.fixture
def init(own_environment: None, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Init:
    """Run it without a terminal, in a folder of its own, with a Redis that does."""
    monkeypatch.setenv("SIDECAR_CLOUD_API_URL", NOWHERE)
    Path("secret").write_text(SECRET)
    Path("secret").chmod(0o600)

    def run(*arguments: str, **environment: str) -> Result:
        given = ["--php-url", NOWHERE, "--redis-url", redis_url, "--app-secret-file", "secret"]
        return CliRunner().invoke(main, ["init", *given, *arguments], env=environment)

    return run


def load(path: str | Path = "sidecar.toml") -> Settings:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, str(path))
        return Settings.load()


def test_it_writes_what_the_settings_read(init: Init, redis_url: str) -> None:
    done = init("--port", "8700", "--public-url", "https://wa.example.com")
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(Path("sidecar.toml").stat().st_mode) == 0o600
    settings = load()
    assert (settings.backend_url, settings.redis_url, settings.port) == (NOWHERE, redis_url, 8700)
    assert settings.public_url == "https://wa.example.com"
    assert settings.app_secret_bytes == (SECRET.encode(),)
    assert len(settings.signing_secrets["first"]) == 64
    for secret in (SECRET, settings.signing_secrets["first"].decode()):
        assert secret not in done.output


def test_it_checks_and_says_what_is_left(init: Init) -> None:
    done = init()
    lines = done.stdout.splitlines()
    assert "OK    redis appendfsync: always" in lines
    [backend] = [line for line in lines if "  backend: " in line]
    assert backend.startswith("WARN  ")
    assert backend.endswith("; the steps below make it work")
    assert "there is no Laravel application in /var/www/whatsapp" in done.stderr
    left = lines[lines.index("What is left, in this order:") :]
    steps = [line.partition(":")[0] for line in left if line[:1].isdigit()]
    assert steps[:4] == ["1. PHP", "2. PHP", "3. nginx", "4. Services"]
    assert "cat >> /var/www/whatsapp/.env <<END" in lines
    assert "ExecStart=" in done.stdout


def test_files_for_the_others(init: Init) -> None:
    app = Path("wa").absolute()
    (app / "public").mkdir(parents=True)
    (app / "public" / "index.php").touch()
    done = init("--out", "install", "--app", "wa", "--php-fpm", "127.0.0.1:9000")
    assert done.exit_code == 0, done.output
    assert "ExecStart=" not in done.stdout
    secret = load().signing_secrets["first"].decode()
    assert f"WHATSAPP_SIDECAR_KEYS=first:{secret}" in Path("install/php.env").read_text()
    assert "server 127.0.0.1:9000;" in Path("install/whatsapp.conf").read_text()
    unit = Path("install/sidecar.service").read_text()
    assert f"LoadCredential=sidecar.toml:{Path.cwd()}/sidecar.toml" in unit
    assert f"cat {Path.cwd()}/install/php.env >> {app}/.env" in done.stdout


def test_an_application_on_another_machine(init: Init) -> None:
    done = init("--out", "install", "--app", "/srv/none", "--app-elsewhere")
    assert done.exit_code == 0, done.output
    assert "no Laravel application" not in done.output
    assert "/srv/none/public" in Path("install/whatsapp.conf").read_text()


@pytest.mark.parametrize("there", ["sidecar.toml", "install/php.env", "install/sidecar.service"])
def test_nothing_is_replaced_unless_that_is_wanted(init: Init, there: str) -> None:
    Path(there).parent.mkdir(exist_ok=True)
    Path(there).write_text("theirs")
    done = init("--out", "install")
    assert done.exit_code == 1
    assert f"{Path.cwd()}/{there} already exists; --force replaces it" in done.stderr
    assert "php:" not in done.stderr, "nothing was asked or tried before"
    assert Path(there).read_text() == "theirs"
    assert Path("sidecar.toml").exists() is (there == "sidecar.toml")
    assert init("--out", "install", "--force").exit_code == 0
    assert "theirs" not in Path(there).read_text()


def test_every_run_has_fresh_keys(init: Init) -> None:
    init()
    before = load().signing_secrets
    init("--force")
    assert load().signing_secrets != before


def test_another_file(init: Init) -> None:
    assert init("--config", "etc/one.toml").exit_code == 0
    assert load("etc/one.toml").port == 8600
    named = init(**{CONFIG_VARIABLE: "etc/two.toml"})
    assert named.exit_code == 0, named.output
    assert load("etc/two.toml").port == 8600
    assert not Path("sidecar.toml").exists()


def test_what_is_in_the_environment(own_environment: None, redis_url: str) -> None:
    variables = {
        "SIDECAR_BACKEND_URL": NOWHERE,
        "SIDECAR_REDIS_URL": redis_url,
        "SIDECAR_APP_SECRETS": SECRET,
        "SIDECAR_PUBLIC_URL": "https://wa.example.com",
    }
    done = CliRunner().invoke(main, ["init"], env={"SIDECAR_CLOUD_API_URL": NOWHERE, **variables})
    assert done.exit_code == 0, done.output
    settings = load()
    assert (settings.backend_url, settings.redis_url) == (NOWHERE, redis_url)
    assert settings.public_url == "https://wa.example.com"
    assert settings.app_secret_bytes == (SECRET.encode(),)
    for name in variables:
        assert f"{name} is set here, and wins over the file." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--php-url", "php"), "--php-url: it is not an http:// or https:// address"),
        (("--public-url", "wa.example.com"), "--public-url: it is not an http"),
        (("--redis-url", "localhost"), "--redis-url: it does not start with redis://"),
        (("--redis-url", "redis://:hush@h"), "--redis-url: a password in a command"),
        (("--app", "/srv/my app"), "--app: nginx and systemd want a path"),
        (("--app", "/srv/none"), "--app: there is no Laravel application in /srv/none"),
        (("--hosts", "10.0.0.1"), "--hosts: write the private addresses of all hosts"),
        (("--hosts", "10.0.0.1,10.0.0.1"), "--hosts: write the private addresses"),
        (
            ("--hosts", "10.0.0.1,10.0.0.2", "--redis-url", "embedded"),
            "--hosts: they share one Redis",
        ),
        (("--config", "my config.toml"), "--config: nginx and systemd want a path"),
        (("--out", "my folder"), "--out: nginx and systemd want a path"),
        (("--data-dir", "my data"), "--data-dir: nginx and systemd want a path"),
        (("--php-fpm", "sock"), "--php-fpm: write it as unix:/run/php"),
        (("--user", "root"), "--user: the services need a user of their own"),
        (("--app-secret-file", "missing"), "--app-secret-file: "),
    ],
)
def test_a_wrong_answer(init: Init, arguments: tuple[str, ...], reason: str) -> None:
    done = init(*arguments)
    assert done.exit_code == 2
    assert f"Error: {reason}" in done.stderr
    assert "hush" not in done.output
    assert [path.name for path in Path.cwd().iterdir()] == ["secret"], "nothing was written"


def test_what_can_hardly_be_is_said(init: Init) -> None:
    Path("secret").write_text("/nonexist")
    done = init("--public-url", "http://127.0.0.1:8080")
    assert done.exit_code == 0
    assert "WARN  app secret: Meta's have 32 hexadecimal digits" in done.stderr
    assert "WARN  public address: Meta reaches no http://127.0.0.1:8080" in done.stderr
    Path("secret").write_text(SECRET)
    done = init("--public-url", "https://wa.example.com", "--force")
    assert "WARN  app secret" not in done.stderr
    assert "WARN  public address" not in done.stderr


def test_settings_that_no_command_could_read(init: Init) -> None:
    done = init(SIDECAR_LEASE_TTL_MS="soon")
    assert done.exit_code == 2
    assert "SIDECAR_LEASE_TTL_MS" in done.stderr
    assert [path.name for path in Path.cwd().iterdir()] == ["secret"]


def test_a_redis_that_does_not_is_kept_and_named(init: Init) -> None:
    done = init("--redis-url", "redis://127.0.0.1:9/0")
    assert done.exit_code == 1
    assert load().redis_url == "redis://127.0.0.1:9/0"
    assert "\n1. Redis: redis: " in done.stdout


def test_the_embedded_redis(init: Init) -> None:
    done = init("--redis-url", "embedded", "--data-dir", "data")
    assert done.exit_code == 0, done.output
    assert load().data_dir == Path.cwd() / "data"
    assert load().redis_url is None
    assert "OK    redis appendfsync: always" in done.stdout


def test_json(init: Init) -> None:
    done = init("--json", "--out", "install")
    said = orjson.loads(done.stdout)
    assert said["config"] == f"{Path.cwd()}/sidecar.toml"
    assert f"{Path.cwd()}/install/php.env" in said["files"]
    assert {"redis", "backend"} <= {line["what"] for line in said["lines"]}
    assert said["steps"][-1]["commands"][0].startswith("sidecar cutover VENDOR")


def test_a_file_that_comes_up_meanwhile(init: Init, monkeypatch: pytest.MonkeyPatch) -> None:
    original = os.link

    def link(source: str, target: str) -> None:
        if Path(target).name == "sidecar.toml":
            Path(target).write_text("theirs")
        original(source, target)

    monkeypatch.setattr(os, "link", link)
    done = init()
    assert done.exit_code == 1
    assert "sidecar.toml is there by now; it is as it was" in done.stderr
    assert Path("sidecar.toml").read_text() == "theirs"


def test_a_folder_that_cannot_be_made(init: Init) -> None:
    done = init("--config", "secret/sidecar.toml")
    assert done.exit_code == 1
    assert "secret" in done.stderr
    done = init("--config", "/proc/none/sidecar.toml")
    assert done.exit_code == 1
    assert "cannot be written" in done.stderr


def test_at_a_terminal_it_asks_and_shows_no_secret(own_environment: None, redis_url: str) -> None:
    """A real one, which echoes what is typed unless it is told not to."""
    ours, theirs = pty.openpty()
    arguments = ["init", "--out", "install"]
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar.commands.main", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SIDECAR_CLOUD_API_URL": NOWHERE},
    ) as process:
        os.close(theirs)
        talk = Terminal(ours)
        talk.answer("Where the sidecar reaches PHP", "nonsense")
        talk.answer("it is not an http:// or https:// address", NOWHERE)
        talk.answer("Meta posts webhooks", "")
        talk.answer("Redis, without its password", redis_url)
        talk.answer("The secret of your Meta app", SECRET)
        talk.answer("The folder of the Laravel application", "/srv/none")
        talk.answer("Is it on another machine?", "y")
        said = talk.rest()
        assert process.wait(PATIENCE_S) == 0, said
    os.close(ours)
    settings = load()
    assert (settings.backend_url, settings.redis_url) == (NOWHERE, redis_url)
    assert settings.app_secret_bytes == (SECRET.encode(),)
    assert NOWHERE in said, "it echoes"
    assert SECRET not in said
    assert settings.signing_secrets["first"].decode() not in said


class Terminal:
    """What somebody sees and types."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._said, self._looked_at = "", 0

    def answer(self, question: str, typed: str) -> None:
        """Wait for a question, and answer it."""
        end = time.monotonic() + PATIENCE_S
        while question not in self._said[self._looked_at :] or not self._said.endswith(": "):
            assert time.monotonic() < end, self._said
            assert self._read(), self._said
        self._looked_at = len(self._said)
        os.write(self._descriptor, f"{typed}\n".encode())

    def rest(self) -> str:
        while self._read():
            pass
        return self._said

    def _read(self) -> bool:
        if not select.select([self._descriptor], [], [], PATIENCE_S)[0]:
            return False
        try:
            read = os.read(self._descriptor, 4096)
        except OSError:  # the other end is closed
            return False
        self._said += read.decode(errors="replace")
        return bool(read)
