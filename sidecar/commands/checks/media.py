"""The folder of media: whether both sides have it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from contracts.diagnosis import PhpFacts
from sidecar.commands.checks.line import Line, fail, ok, warn
from sidecar.format import size
from sidecar.settings import Settings

_FOLDER = "folder of media"
_BOTH = "media on both sides"


def check_media(settings: Settings) -> Iterator[Line]:
    """Look at the folder, if there is one."""
    folder = settings.media_dir
    if folder is None:
        return
    what = f"{_FOLDER} {folder}"
    if not folder.is_dir():
        yield fail(what, "is not there", "make it, or mount it, on the machine of the workers")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield fail(what, "this user may not write to it", "give it to the user of the workers")
    else:
        yield _judge_room(what, folder, settings)


def _judge_room(what: str, folder: Path, settings: Settings) -> Line:
    free = shutil.disk_usage(folder).free
    detail = f"{size(free)} free"
    left = settings.media_free_disk_bytes
    if free - settings.media_limit_bytes < left:
        do = f"make room: {size(left)} are left free (media_free_disk_bytes), and media waits"
        return fail(what, detail, do)
    return ok(what, detail)


def judge_media(settings: Settings, php: PhpFacts) -> Iterator[Line]:
    """Compare with PHP's side."""
    here, there = settings.media_dir, php.media_dir
    if here is None and there is None:
        return
    if here is None:
        yield fail(
            _BOTH,
            f"PHP asks for media in {there}, and none is fetched: each request fails",
            "set media_dir to the same folder, or unset WHATSAPP_SIDECAR_MEDIA_DIR",
        )
    elif there is None:
        yield warn(
            _BOTH,
            "PHP does not ask for media",
            f"set WHATSAPP_SIDECAR_MEDIA_DIR to where PHP sees {here}, or unset media_dir",
        )
    elif not php.media_readable:
        yield fail(_BOTH, f"PHP cannot read {there}", "mount it there, and let PHP's user read it")
    else:
        yield ok(_BOTH, f"{here} here, {there} for PHP")
