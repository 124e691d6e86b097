"""What is still to be done after ``sidecar init``, in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sidecar.commands.setup.answers import Answers, Place
from sidecar.commands.setup.filled import STATE, of_repository
from sidecar.commands.setup.probes import Php


@dataclass(frozen=True, slots=True)
class Found:
    """How things are: what is at PHP's address, whether it takes our signature, what of Redis does
    not do, and whether ``sidecar serve`` runs."""

    php: Php
    signed: bool
    redis_failed: tuple[str, ...]
    serves: bool


@dataclass(frozen=True, slots=True)
class Step:
    """``commands`` are for a shell, mostly as root."""

    what: str
    commands: tuple[str, ...] = ()


def missing(answers: Answers, place: Place, out: Path | None, found: Found) -> Iterator[Step]:
    """Yield the steps that are left. ``out``: the folder with the files, if they were written."""
    if found.redis_failed:
        yield Step("Redis: " + "; ".join(found.redis_failed))
    if not found.signed:
        yield from _php(place, out, found)
    if found.php is Php.NOTHING:
        yield _nginx(answers, out)
    if not found.serves:
        yield _services(answers, place, out)
    yield Step("Check that everything works", ("sidecar check --deep",))
    yield Step(
        "Move a vendor to the sidecar; its next message comes this way (MIGRATION.md has the "
        "careful way)",
        ("sidecar cutover VENDOR --webhooks sidecar --campaigns sidecar",),
    )


def _php(place: Place, out: Path | None, found: Found) -> Iterator[Step]:
    app = place.application
    php = "PHP, on its own machine, with these files there" if place.elsewhere else "PHP"
    if found.php is not Php.PACKAGE:
        package = of_repository("contracts/laravel")
        yield Step(
            f"{php}: install the Laravel package and its indexes ({package}/README.md says more; "
            "DATABASE is the application's)",
            (
                f"mkdir -p {app}/packages && cp -r {package} {app}/packages/whatsapp-sidecar",
                f"(cd {app} && composer config repositories.whatsapp-sidecar path "
                "packages/whatsapp-sidecar)",
                f"(cd {app} && composer require whatsapp-sidecar/laravel:@dev)",
                f"mysql DATABASE < {of_repository('contracts/sql/indexes.sql')}",
            ),
        )
    lines = "the lines above" if out is None else f"{out}/php.env"
    check = f"(cd {app} && php artisan config:clear && php artisan whatsapp-sidecar:check)"
    yield Step(
        f"{php}: add {lines} to its .env; if .env already has these lines, replace them",
        (*([] if out is None else [f"cat {out}/php.env >> {app}/.env"]), check),
    )


def _nginx(answers: Answers, out: Path | None) -> Step:
    site = "whatsapp.conf above" if out is None else f"{out}/whatsapp.conf"
    tls = (answers.public_url or "").startswith("https:")
    return Step(
        f"nginx: take {site}, or add the include lines in it to the server block that you have"
        + ("; TLS is in sidecar/tls.conf, which is off" if tls else ""),
        (
            f"cp -r {of_repository('nginx/sidecar')} /etc/nginx/",
            *([] if out is None else [f"cp {out}/whatsapp.conf /etc/nginx/conf.d/"]),
            "nginx -t && systemctl reload nginx",
        ),
    )


def _services(answers: Answers, place: Place, out: Path | None) -> Step:
    user = place.user
    if place.program.is_relative_to("/root"):
        return Step(
            f"Services: {place.program} is below /root, where {user} cannot read it: clone and "
            "install the sidecar below /opt, and run sidecar init --force there"
        )
    commands = [
        f"id {user} || useradd --system --home-dir {STATE} --shell /usr/sbin/nologin {user}",
    ]
    if answers.redis_url is None and answers.data_dir != STATE:  # whose owner systemd sets
        owner = f"-o {user} -g {place.group}"
        commands.append(f"install -d {owner} -m 700 {answers.data_dir}")
        commands.append(f"chown -R {user}: {answers.data_dir}")
    if out is not None:
        commands.append(f"cp {out}/*.service /etc/systemd/system/")
    return Step(
        "Services: start the sidecar and its worker",
        (*commands, "systemctl daemon-reload", "systemctl enable --now sidecar sidecar-worker"),
    )
