"""Answers as somebody gives them."""

from pathlib import Path
from typing import Any

from sidecar.commands.setup.answers import Answers, Place

SECRET = "0123456789abcdef0123456789abcdef"


def answers(**changed: Any) -> Answers:
    given: dict[str, Any] = {
        "backend_url": "http://127.0.0.1:8601",
        "port": 8600,
        "public_url": "https://wa.example.com",
        "redis_url": "redis://127.0.0.1:6379/0",
        "app_secret": SECRET,
        "data_dir": Path("/var/lib/whatsapp-sidecar"),
    }
    return Answers(**{**given, **changed})


def place(**changed: Any) -> Place:
    given: dict[str, Any] = {
        "config": Path("/etc/whatsapp-sidecar/sidecar.toml"),
        "program": Path("/opt/whatsapp-sidecar/.venv/bin/sidecar"),
        "application": Path("/srv/whatsapp"),
        "fpm": "unix:/run/php/php8.3-fpm.sock",
        "user": "whatsapp-sidecar",
    }
    return Place(**{**given, **changed})
