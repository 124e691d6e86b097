"""``sidecar init``: from nothing to settings, and to what PHP, nginx and systemd need."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from sidecar import logs
from sidecar.commands.check import Printer, Wanted, run_checks
from sidecar.commands.checks.line import Level, Line, warn
from sidecar.commands.context import WrongSettings
from sidecar.commands.setup import answers as reading
from sidecar.commands.setup import files
from sidecar.commands.setup.answers import Answers, Place
from sidecar.commands.setup.filled import STATE
from sidecar.commands.setup.probes import Php, serves
from sidecar.commands.setup.questions import Questions, WrongAnswer, read_file, say
from sidecar.commands.setup.report import Installation, paths, print_json, print_steps
from sidecar.commands.setup.steps import Found, missing
from sidecar.settings import CONFIG_VARIABLE, ENV_PREFIX, InvalidSettings, Settings

_NONE = "none"
_EMBEDDED = "embedded"

_option = partial(click.option, default=None)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line says."""

    php_url: str | None
    public_url: str | None
    redis_url: str | None
    data_dir: str | None
    app_secret_file: Path | None
    app: str | None
    app_elsewhere: bool
    php_fpm: str | None
    user: str | None
    hosts: str | None
    port: int
    config: str
    out: str | None
    force: bool
    yes: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Told:
    """All that is known before anything is written."""

    answers: Answers
    place: Place
    php: Php
    redis_failed: tuple[str, ...]


@click.command()
@_option("--php-url", metavar="URL", help="Where the sidecar reaches PHP.")
@_option("--public-url", metavar="URL", help="Where Meta posts webhooks, or none.")
@_option("--redis-url", metavar="URL", help="A Redis, without its password; or embedded.")
@_option("--data-dir", metavar="FOLDER", help="Where the embedded one keeps its data.")
@_option(
    "--app-secret-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Holds the secret of the Meta app; - is standard input.",
)
@_option("--app", metavar="FOLDER", help="The Laravel application.")
@click.option("--app-elsewhere", is_flag=True, help="It is on another machine.")
@_option("--php-fpm", metavar="ADDRESS", help="Where PHP-FPM listens.")
@_option("--user", metavar="NAME", help="Whom the services run as; never root.")
@_option("--hosts", metavar="ADDRESS,...", help="All hosts' private addresses, this one's first.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8600,
    show_default=True,
    help="Where sidecar serve listens.",
)
@click.option(
    "--config",
    metavar="FILE",
    envvar=CONFIG_VARIABLE,
    default="sidecar.toml",
    show_default=True,
    help="The file with the settings.",
)
@_option("--out", metavar="FOLDER", help="Write what PHP, nginx and systemd need there.")
@click.option("--force", is_flag=True, help="Replace files; the keys are fresh, PHP needs them.")
@click.option("--yes", is_flag=True, help="Ask nothing: options and defaults count.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object. Asks nothing.")
def init(**options: Any) -> None:
    """Write sidecar.toml, and show what is left to do.

    Asks for PHP's and the public address, Redis and the Meta app's secret, and tries PHP and Redis
    at once. Writes settings with fresh keys, for you alone (mode 600). Prints the lines for PHP's
    .env, nginx and systemd, filled in, or writes them with --out, secrets included. Then it runs
    sidecar check, and says what is missing, in order. It replaces no file without --force.

    Without a terminal, or with --yes, options count, and the variables SIDECAR_BACKEND_URL,
    SIDECAR_PUBLIC_URL, SIDECAR_REDIS_URL and SIDECAR_APP_SECRETS. A secret is never an option: it
    would be in the shell's history.

    Exits 1 if Redis cannot be used as it is, and 2 if an answer is wrong; then nothing was written.
    """
    _run(Options(**options))


def _run(options: Options) -> None:
    logs.configure("error", "console", "init")
    config = _plain_path("--config", options.config)
    out = None if options.out is None else _plain_path("--out", options.out)
    _refuse_to_replace([config, *paths(out)], options.force)
    told = _ask(options, config)
    installation = Installation(told.answers, told.place, out)
    settings = _write(installation, options.force)
    if not options.as_json:
        installation.show()
    _end(options, told, installation, run_checks(settings, Wanted(), _Early(options.as_json)))


class _Early(Printer):
    """PHP may take no call yet: its keys, and mostly its nginx, come with what is left to do."""

    def line(self, line: Line) -> Line:
        if line.level is Level.FAIL and line.what in ("backend", "signature"):
            line = replace(line, level=Level.WARN, do="the steps below make it work")
        return super().line(line)


def _end(options: Options, told: Told, installation: Installation, lines: list[Line]) -> None:
    """Say what is left, given what was found."""
    signed = "signature" in {line.what for line in lines if line.level is Level.OK}
    answers = told.answers
    runs = serves(answers.port, *answers.hosts[:1])
    found = Found(told.php, signed, told.redis_failed, runs)
    steps = list(missing(answers, told.place, installation.out, found))
    if options.as_json:
        print_json(installation, lines, steps)
    else:
        print_steps(steps)
    if told.redis_failed:
        raise click.exceptions.Exit(1)


# -- what is asked --


def _ask(options: Options, config: Path) -> Told:
    program = _plain_path("the path of this program", str(reading.this_program()))
    ask = Questions(asks=sys.stdin.isatty() and not (options.yes or options.as_json))
    backend_url = ask.ask(
        "Where the sidecar reaches PHP (nginx will listen there)",
        "--php-url",
        options.php_url or _variable("BACKEND_URL"),
        "http://127.0.0.1:8601",
        reading.read_http_url,
    )
    php = ask.php(backend_url)
    public_url = ask.ask(
        "The address at which Meta posts webhooks, if there is one",
        "--public-url",
        options.public_url or _variable("PUBLIC_URL"),
        _NONE,
        lambda text: None if text == _NONE else reading.read_public_url(text),
    )
    if public_url is not None and not reading.is_public(public_url):
        say(warn("public address", f"Meta reaches no {public_url}", "name the one in your DNS"))
    redis_url, redis_failed = _ask_redis(ask, options)
    secret = ask.ask_secret(
        "The secret of your Meta app; nothing, if each vendor has an app",
        "the app secret",
        read_file(options.app_secret_file) or _variable("APP_SECRETS"),
        reading.read_secret,
    )
    if secret is not None and not reading.is_metas(secret):
        do = "compare it with App settings, Basic, at Meta"
        say(warn("app secret", "Meta's have 32 hexadecimal digits, and this one has not", do))
    hosts = _hosts(options, redis_url)
    data_dir = options.data_dir or str(STATE if os.geteuid() == 0 else config.parent / "var")
    answers = Answers(
        backend_url=backend_url,
        port=options.port,
        public_url=public_url,
        redis_url=redis_url,
        app_secret=secret,
        data_dir=_plain_path("--data-dir", data_dir),
        hosts=hosts,
    )
    return Told(answers, _ask_place(ask, options, config, program), php, redis_failed)


def _ask_redis(ask: Questions, options: Options) -> tuple[str | None, tuple[str, ...]]:
    if options.redis_url is not None and reading.has_password(options.redis_url):
        raise WrongAnswer(
            "--redis-url: a password in a command is in the shell's history; set SIDECAR_REDIS_URL "
            "instead, or leave the password out and be asked for it"
        )

    def which(given: str | None = None) -> str | None:
        return ask.ask(
            "Redis, without its password (redis://127.0.0.1:6379/0), or embedded",
            "--redis-url",
            given,
            _EMBEDDED,
            lambda text: None if text == _EMBEDDED else reading.read_redis_url(text),
        )

    return ask.redis(which(options.redis_url or _variable("REDIS_URL")), which)


def _hosts(options: Options, redis_url: str | None) -> tuple[str, ...]:
    """Return the addresses of all hosts; none if there is one."""
    if options.hosts is None:
        return ()
    if redis_url is None:
        raise WrongAnswer("--hosts: they share one Redis, and the embedded one is a host's own")
    return Questions(asks=False).ask("", "--hosts", options.hosts, "", reading.read_hosts)


def _ask_place(ask: Questions, options: Options, config: Path, program: Path) -> Place:
    application = ask.application(options.app, elsewhere=options.app_elsewhere)
    # Nobody is asked for what is right for almost all.
    known = Questions(asks=False)
    fpm, user = reading.found_fpm(), reading.service_user()
    return Place(
        config=config,
        program=program,
        application=application,
        fpm=known.ask("", "--php-fpm", options.php_fpm, fpm, reading.read_fpm),
        user=known.ask("", "--user", options.user, user, reading.read_user),
        elsewhere=options.app_elsewhere or (ask.asks and not reading.has_application(application)),
    )


def _variable(name: str) -> str | None:
    return os.environ.get(f"{ENV_PREFIX}{name}") or None


def _plain_path(what: str, text: str) -> Path:
    try:
        return reading.read_path(text)
    except ValueError as error:
        raise WrongAnswer(f"{what}: {error}") from None


# -- what is written --


def _refuse_to_replace(wanted: Iterable[Path], force: bool) -> None:
    there = [str(path) for path in wanted if os.path.lexists(path)]
    if there and not force:
        exist, them = ("exists", "it") if len(there) == 1 else ("exist", "them")
        raise click.ClickException(
            f"{', '.join(there)} already {exist}; --force replaces {them}, with fresh keys, which "
            "PHP then needs too"
        )


def _write(installation: Installation, force: bool) -> Settings:
    """Write everything, the settings last; nothing if they are not what a command can read."""
    config = installation.place.config
    text = files.toml(installation.answers.settings())
    try:
        with files.draft(config, text, files.SECRET) as drafted:
            settings = _load(drafted)
            installation.write(replace=force)
            files.publish(drafted, config, replace=force)
    except FileExistsError as error:
        there = error.filename2 or error.filename
        raise click.ClickException(f"{there} is there by now; it is as it was") from None
    except OSError as error:
        reason = f"{error.filename} cannot be written: {error.strerror}"
        raise click.ClickException(reason) from None
    for path in (*installation.files(), config):
        click.echo(f"{path} is written.", err=True)
    for name in sorted(os.environ):
        if name.startswith(ENV_PREFIX) and name != CONFIG_VARIABLE:
            click.echo(f"{name} is set here, and wins over the file.", err=True)
    return settings


def _load(drafted: Path) -> Settings:
    """Read what was written as every command will."""
    with _config(drafted):
        try:
            return Settings.load()
        except InvalidSettings as error:
            raise WrongSettings(str(error)) from None


@contextmanager
def _config(path: Path) -> Iterator[None]:
    before = os.environ.get(CONFIG_VARIABLE)
    os.environ[CONFIG_VARIABLE] = str(path)
    try:
        yield
    finally:
        del os.environ[CONFIG_VARIABLE]
        if before is not None:
            os.environ[CONFIG_VARIABLE] = before
