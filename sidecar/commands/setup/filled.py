"""The lines for PHP's ``.env``, nginx and systemd: the shipped files, filled in."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from sidecar.commands.setup.answers import Answers, Place

#: The checkout. What was installed from the wheel has none.
CHECKOUT = Path(__file__).parents[3]

UNITS = ("sidecar.service", "sidecar-worker.service", "sidecar-worker@.service")
STATE = Path("/var/lib/whatsapp-sidecar")

#: A line for each host, and where PHP finds them all if there are several.
_SERVER = "    server 127.0.0.1:8600 max_fails=3 fail_timeout=2s;"
_FOR_PHP = 8602

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_HOMES = ("/home/", "/root/", "/run/user/")


def php_env(answers: Answers) -> str:
    """Return the lines for PHP's ``.env``, secrets included."""
    return _env(answers, answers.signing_keys, answers.app_secret)


def php_env_command(answers: Answers, place: Place) -> str:
    """Return a command that adds the same lines. It takes the secrets from the settings file, so
    that they are not in the shell's history. For an application elsewhere it prints them."""
    keys = _cut("signing_keys", place)
    secret = None if answers.app_secret is None else _cut("app_secrets", place)
    lines = _env(answers, keys, secret)
    target = "" if place.elsewhere else f" >> {place.application}/.env"
    return f"cat{target} <<END\n{lines}END\n"


def _cut(name: str, place: Place) -> str:
    return f"""$(sed -n 's/^{name} = "\\(.*\\)"$/\\1/p' {place.config})"""


def _env(answers: Answers, keys: str, secret: str | None) -> str:
    lines = [
        "",  # what is there may end without a line break
        "# The WhatsApp sidecar",
        f"WHATSAPP_SIDECAR_URL=http://127.0.0.1:{_FOR_PHP if answers.hosts else answers.port}",
        f"WHATSAPP_SIDECAR_KEYS={keys}",
    ]
    if secret is not None:
        lines.append(f'WHATSAPP_SIDECAR_APP_SECRETS="{secret}"')
    return "\n".join(lines) + "\n"


def has_templates() -> bool:
    return (CHECKOUT / "nginx" / "site.conf").is_file()


def of_repository(path: str) -> str:
    """Return where a file of the repository is, as far as that is known."""
    return str(CHECKOUT / path) if has_templates() else path


def nginx_site(answers: Answers, place: Place) -> str:
    """Return ``nginx/site.conf`` with this installation's addresses."""
    public = urlsplit(answers.public_url or "")
    backend = urlsplit(answers.backend_url)
    listen = public.port if public.scheme == "http" and public.port else 80
    internal = backend.port or 80 if backend.hostname in _LOOPBACK else 8601
    template = CHECKOUT / "nginx" / "site.conf"
    return _filled(
        template,
        {
            **(_for_php(template) if answers.hosts else {}),
            _SERVER: "\n".join(
                _SERVER.replace("127.0.0.1:8600", f"{host}:{answers.port}")
                for host in answers.hosts or ("127.0.0.1",)
            ),
            "server unix:/run/php/php8.2-fpm.sock;": f"server {place.fpm};",
            "listen 80;": f"listen {listen};",
            "server_name whatsapp.example.com;": f"server_name {public.hostname or '_'};",
            "/var/www/whatsapp/public": str(place.application / "public"),
            "listen 127.0.0.1:8601;": f"listen 127.0.0.1:{internal};",
        },
    )


def _for_php(template: Path) -> dict[str, str]:
    """Return how what PHP calls is turned on, which is the end of the file."""
    text = template.read_text()
    off = text[text.index("#upstream sidecar_for_php") :]
    return {off: re.sub("(?m)^#", "", off)}


def unit(name: str, answers: Answers, place: Place) -> str:
    """Return one of :data:`UNITS` for this installation. systemd reads the settings file as root,
    and shows it to the service alone."""
    settings = [
        f"LoadCredential=sidecar.toml:{place.config}",
        "Environment=SIDECAR_CONFIG=%d/sidecar.toml",
    ]
    if answers.redis_url is None and answers.data_dir != STATE:
        settings.append(f"ReadWritePaths={answers.data_dir}")
    used = f"{place.program}\n{answers.data_dir}\n"
    homes = "read-only" if any(line.startswith(_HOMES) for line in used.splitlines()) else "yes"
    return _filled(
        CHECKOUT / "deploy" / "systemd" / name,
        {
            "User=whatsapp-sidecar": f"User={place.user}",
            "Group=whatsapp-sidecar": f"Group={place.group}",
            "EnvironmentFile=/etc/whatsapp-sidecar/sidecar.env": "\n".join(settings),
            "/opt/whatsapp-sidecar/.venv/bin/sidecar": str(place.program),
            "ProtectHome=yes": f"ProtectHome={homes}",
        },
    )


def _filled(template: Path, replacements: dict[str, str]) -> str:
    text = template.read_text()
    for old, new in replacements.items():
        if old not in text:
            raise LookupError(f"there is no {old!r} in {template}")
        text = text.replace(old, new)
    return text
