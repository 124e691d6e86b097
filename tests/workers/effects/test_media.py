"""Fetching media: one file for one effect, and PHP hears of it, whatever breaks in between."""

import asyncio
import base64
import hashlib
import os
import shutil
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from contracts.backend import MEDIA
from contracts.effects import FetchMedia
from sidecar.settings import Settings
from tests.conftest import MakeSettings
from tests.eventually import eventually
from tests.target import Hit, Target, target
from tests.workers import php as php_side
from tests.workers.php import HTML_500, Answer, Call, Php
from tests.workers.queued_effects import VENDOR, config, queued
from workers.effects import media as module
from workers.effects.handler import Again, Done, End, GivenUp
from workers.effects.handlers import make_handlers
from workers.effects.media import MediaFetcher, MediaPolicy, remove_parts
from workers.effects.media_client import FetchFailed
from workers.effects.media_folder import MediaFolder, Part

CONTENT = b"a voice message" * 10_000
SHA256 = hashlib.sha256(CONTENT)
AT = 1_700_000_000_000
PATH = f"{VENDOR}/2023-11/e1.ogg"


@dataclass
class Api:
    """A Cloud API with one file. ``about`` is what it says of it besides."""

    target: Target
    content: bytes = CONTENT
    about: dict[str, Any] = field(default_factory=dict)
    #: Answers to the download, instead of the file.
    failing: list[Any] = field(default_factory=list)
    downloads: int = 0

    def answer(self, hit: Hit) -> Any:
        if not hit.path.startswith("/file"):
            body = {"url": f"{self.target.url}/file", "mime_type": "audio/ogg", **self.about}
            return web.json_response(body)
        self.downloads += 1
        failing = self.failing.pop(0) if self.failing else None
        if failing is not None:
            return failing(hit) if callable(failing) else failing
        return web.Response(body=self.content)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with target() as one:
        found = Api(one)
        one.answer = found.answer
        yield found


@pytest.fixture
async def php() -> AsyncIterator[Php]:
    async with php_side.running() as one:
        take(one)
        yield one


def take(php: Php, result: str = "done") -> None:
    def rule(call: Call) -> Answer:
        results = [{"id": one["id"], "result": result} for one in call.json["media"]]
        return php_side.answer({"results": results})

    php.when(MEDIA, rule)


@pytest.fixture
def settings(make_settings: MakeSettings, tmp_path: Path, api: Api) -> Settings:
    return make_settings(media_dir=tmp_path, cloud_api_url=api.target.url, media_free_disk_bytes=0)


@asynccontextmanager
async def fetching(settings: Settings, php: Php) -> AsyncIterator[MediaFetcher]:
    """A handler as a worker process has it."""
    backend = php_side.client(php.url)
    handlers = make_handlers(settings, backend)
    try:
        one = next(one for one in handlers.values() if isinstance(one, MediaFetcher))
        yield one
    finally:
        for handler in handlers.values():
            await handler.close()
        await backend.close()


@pytest.fixture
async def fetcher(settings: Settings, php: Php) -> AsyncIterator[MediaFetcher]:
    async with fetching(settings, php) as one:
        yield one


def effect(id_: str = "e1", **known: Any) -> FetchMedia:
    known = {"media_id": "77", "wamid": "wamid.1", "type": "audio", **known}
    known.setdefault("mime_type", "audio/ogg; codecs=opus")
    return FetchMedia(id=id_, **known)


async def fetch(
    fetcher: MediaFetcher, *, attempts: int = 0, token: str | None = "t", **known: Any
) -> End:
    waiting = queued(effect(**known), attempts=attempts, put_at=AT)
    fetcher.arrived(waiting)
    [end] = await fetcher.do(config(access_token=token), [waiting])
    return end


def reports(php: Php) -> list[dict[str, Any]]:
    return [one for call in php.to(MEDIA) for one in call.json["media"]]


def files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


async def test_a_file_is_fetched_and_reported(
    fetcher: MediaFetcher, php: Php, tmp_path: Path
) -> None:
    told = base64.b64encode(SHA256.digest()).decode()
    assert await fetch(fetcher, sha256=told, filename="../../evil.php") == Done([])
    assert files(tmp_path) == [PATH]
    assert (tmp_path / PATH).read_bytes() == CONTENT
    [report] = reports(php)
    assert report.pop("at") > AT
    assert report == {
        "id": "e1",
        "vendor_uid": VENDOR,
        "media_id": "77",
        "wamid": "wamid.1",
        "state": "stored",
        "path": PATH,
        "bytes": len(CONTENT),
        "mime_type": "audio/ogg",
        "sha256": SHA256.hexdigest(),
    }


async def test_reports_share_requests(fetcher: MediaFetcher, php: Php) -> None:
    ends = await asyncio.gather(*(fetch(fetcher, id_=f"e{n}") for n in range(5)))
    assert ends == [Done([])] * 5
    assert len(php.to(MEDIA)) < 5


async def test_a_wrong_sum_is_tried_again_with_a_new_address(
    fetcher: MediaFetcher, api: Api, php: Php, tmp_path: Path
) -> None:
    api.failing = [lambda _hit: web.Response(body=b"something else")]
    end = await fetch(fetcher, sha256=SHA256.hexdigest())
    assert isinstance(end, Again)
    assert end.reason.startswith("sha256_wrong")
    assert (files(tmp_path), reports(php)) == ([], [])
    assert await fetch(fetcher, sha256=SHA256.hexdigest(), attempts=1) == Done([])
    assert [hit.path for hit in api.target.hits] == ["/v26.0/77", "/file"] * 2


async def test_what_the_cloud_api_says_counts_too(
    fetcher: MediaFetcher, api: Api, tmp_path: Path
) -> None:
    api.about = {"sha256": hashlib.sha256(b"x").hexdigest()}
    assert isinstance(await fetch(fetcher), Again)
    api.about = {"sha256": "no sum at all"}
    assert await fetch(fetcher, sha256="nor this") == Done([])


async def test_too_many_attempts_are_reported_and_shown(
    fetcher: MediaFetcher, api: Api, php: Php
) -> None:
    api.failing = [500] * 5
    pauses = []
    for attempts in range(4):
        end = await fetch(fetcher, attempts=attempts)
        assert isinstance(end, Again)
        assert end.counts
        pauses.append(end.after_s)
    assert pauses == [5.0, 20.0, 80.0, 320.0]
    assert reports(php) == []
    with capture_logs() as logged:
        end = await fetch(fetcher, attempts=4)
    assert end == GivenUp("download_refused: the address answered 500")
    assert [one["event"] for one in logged] == ["media.failed"]
    [report] = reports(php)
    assert (report["state"], report["reason"]) == ("failed", end.reason)
    # The operator replays the dead letter.
    assert await fetch(fetcher) == Done([])
    assert [one["state"] for one in reports(php)] == ["failed", "stored"]


async def test_limits_of_the_cloud_api_count_no_attempt(fetcher: MediaFetcher, api: Api) -> None:
    api.failing = [429]
    end = await fetch(fetcher, attempts=99)
    assert isinstance(end, Again)
    assert (end.counts, end.after_s) == (False, 60.0)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_file_that_is_too_large(
    make_settings: MakeSettings, settings: Settings, api: Api, php: Php, announced: bool
) -> None:
    """Nobody can cure it, so it is no dead letter."""
    api.about = {"file_size": len(CONTENT)} if announced else {}
    given = settings.model_copy(update={"media_audio_limit_bytes": len(CONTENT) - 1})
    assert given.media_dir is not None
    async with fetching(given, php) as fetcher:
        assert await fetch(fetcher) == Done([])
    [report] = reports(php)
    assert report["state"] == "failed"
    assert report["reason"].startswith("too_large")
    assert api.downloads == (0 if announced else 1)
    assert files(given.media_dir) == []


def test_limits_by_type(make_settings: MakeSettings) -> None:
    policy = MediaPolicy.of(make_settings(media_limit_bytes=5000, media_image_limit_bytes=2000))
    assert policy.limit_of("image") == 2000
    assert (
        policy.limit_of("sticker") == policy.limit_of("document") == policy.limit_of(None) == 5000
    )
    assert MediaPolicy.of(make_settings()).limit_of("video") >= 100_000_000
    assert MediaPolicy.of(make_settings(effect_max_attempts=2)).max_attempts == 2


async def test_media_that_is_gone(fetcher: MediaFetcher, api: Api, php: Php) -> None:
    gone = {"error": {"code": 100, "error_subcode": 33}}
    api.target.answer = lambda _hit: web.json_response(gone, status=400)
    assert await fetch(fetcher) == Done([])
    [report] = reports(php)
    assert (report["state"], report["reason"]) == (
        "failed",
        "media_unknown: the Cloud API answered 400 (100)",
    )


async def test_a_vendor_without_a_token(fetcher: MediaFetcher, api: Api) -> None:
    again = await fetch(fetcher, token=None)
    assert isinstance(again, Again)
    given_up = await fetch(fetcher, token=None, attempts=4)
    assert isinstance(given_up, GivenUp)
    assert again.refused
    assert given_up.refused
    assert api.target.hits == []


async def test_without_a_folder_an_operator_hears_of_it(
    make_settings: MakeSettings, php: Php
) -> None:
    async with fetching(make_settings(), php) as fetcher:
        end = await fetch(fetcher)
    assert isinstance(end, GivenUp)
    assert "media_dir" in end.reason


@pytest.mark.parametrize("id_", ["../x", "a/b", ""])
async def test_an_id_that_leads_elsewhere(fetcher: MediaFetcher, id_: str) -> None:
    waiting = queued(effect(id_), id_=id_ or "..", put_at=AT)
    [end] = await fetcher.do(config(access_token="t"), [waiting])
    assert isinstance(end, GivenUp)


@pytest.mark.parametrize("how", ["full", "gone", "forbidden"])
async def test_a_folder_that_cannot_be_used(
    fetcher: MediaFetcher,
    php: Php,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """Nothing is lost: it waits until the operator has mended it."""
    with monkeypatch.context() as patched:
        if how == "full":
            patched.setattr(Part, "write", _no_space)
        elif how == "gone":
            patched.setattr(shutil, "disk_usage", _gone)
        else:
            patched.setattr(MediaFolder, "begin", _forbidden)
        with capture_logs() as logged:
            end = await fetch(fetcher, attempts=99)
        assert isinstance(end, Again)
        assert (end.counts, end.after_s) == (False, 30.0)
        assert [one["event"] for one in logged] == ["media.folder_unavailable"]
        assert files(tmp_path) == []
    assert await fetch(fetcher, attempts=99) == Done([])
    assert len(reports(php)) == 1


def _no_space(_part: Part, _chunk: bytes) -> None:
    raise OSError(28, "No space left on device")


def _gone(_path: Path) -> None:
    raise FileNotFoundError(2, "No such file or directory")


def _forbidden(*_args: Any) -> None:
    raise PermissionError(13, "Permission denied")


# -- deaths --


class Death(BaseException):
    """The process dies on this line."""


async def dies(fetcher: MediaFetcher) -> None:
    with pytest.raises(Death):
        await fetch(fetcher)


async def test_it_dies_after_the_download_before_the_name(
    settings: Settings, api: Api, php: Php, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fetching(settings, php) as first:
        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", _die)
            patched.setattr(Part, "discard", Part._close)  # nobody cleans up after a dead process
            await dies(first)
    [part] = files(tmp_path)
    assert part.startswith(".parts/")
    async with fetching(settings, php) as second:
        assert await fetch(second) == Done([])
    assert files(tmp_path) == [PATH]
    assert (api.downloads, len(reports(php))) == (2, 1)


async def test_it_dies_after_the_name_before_the_report(
    settings: Settings, api: Api, php: Php, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with fetching(settings, php) as first:
        with monkeypatch.context() as patched:
            patched.setattr(first._reports, "bring", _die)
            await dies(first)
    assert (files(tmp_path), reports(php)) == ([PATH], [])
    async with fetching(settings, php) as second:
        # Also if it comes again under another date, as from the dead letters.
        waiting = queued(effect(), put_at=AT + 90 * 86_400_000)
        assert await second.do(config(access_token="t"), [waiting]) == [Done([])]
    assert files(tmp_path) == [PATH]
    assert api.downloads == 1
    [report] = reports(php)
    assert (report["path"], report["sha256"]) == (PATH, SHA256.hexdigest())


def _die(*_args: Any) -> None:
    raise Death


async def test_php_is_away(
    fetcher: MediaFetcher, api: Api, php: Php, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = php.always(MEDIA, HTML_500)
    assert isinstance(await fetch(fetcher), Again)
    php.forget(down)
    monkeypatch.setattr(MediaFolder, "find", _die)  # it is not read again for the report's sake
    assert await fetch(fetcher) == Done([])
    assert api.downloads == 1


async def test_a_stop_leaves_nothing_half_done(
    fetcher: MediaFetcher, api: Api, php: Php, tmp_path: Path
) -> None:
    hangs = asyncio.Event()

    async def hang(_hit: Hit) -> Any:
        async def body() -> AsyncIterator[bytes]:
            yield b"x" * 70_000
            hangs.set()
            await asyncio.sleep(3600)

        return web.Response(body=body())

    api.failing = [hang]
    task = asyncio.create_task(fetch(fetcher))
    await hangs.wait()
    await eventually(lambda: bool(files(tmp_path)))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (files(tmp_path), reports(php)) == ([], [])


async def test_parts_of_dead_processes_are_removed_at_the_start(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / ".parts").mkdir()
    old = tmp_path / ".parts" / f"e1.{'0' * 16}.part"
    old.write_bytes(b"half")
    os.utime(old, (1, 1))
    task = asyncio.create_task(remove_parts(settings))
    await eventually(lambda: files(tmp_path) == [])
    task.cancel()


async def test_without_a_folder_there_is_nothing_to_remove(make_settings: MakeSettings) -> None:
    await remove_parts(make_settings())


# -- fairness and memory --


async def test_few_downloads_at_once(settings: Settings, api: Api, php: Php) -> None:
    given = settings.model_copy(update={"media_process_concurrency": 2, "media_concurrency": 7})
    release = asyncio.Event()

    async def slow(_hit: Hit) -> Any:
        await release.wait()
        return web.Response(body=CONTENT)

    api.failing = [slow] * 6
    async with fetching(given, php) as fetcher:
        assert fetcher.at_once == 7
        tasks = [asyncio.create_task(fetch(fetcher, id_=f"e{n}")) for n in range(6)]
        await eventually(lambda: api.downloads == 2)
        await asyncio.sleep(0.05)
        assert api.downloads == 2
        release.set()
        assert await asyncio.gather(*tasks) == [Done([])] * 6
    assert api.target.max_in_flight == 2


def _pieces(count: int) -> Iterator[bytes]:
    return (b"\0" * 65_536 for _ in range(count))


async def test_a_large_file_costs_a_buffer(
    fetcher: MediaFetcher, api: Api, php: Php, tmp_path: Path
) -> None:
    """64 MB, here with the server in the same process: its own buffer is counted as well."""

    async def large(_hit: Hit) -> Any:
        async def body() -> AsyncIterator[bytes]:
            for piece in _pieces(1024):
                yield piece

        return web.Response(body=body())

    assert await fetch(fetcher, id_="warm") == Done([])
    api.failing = [large]
    tracemalloc.start()
    try:
        assert await fetch(fetcher, id_="large") == Done([])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / PATH.replace("e1", "large")).stat().st_size == 64 * 1024 * 1024
    assert peak < 5 * 1024 * 1024


def test_the_pauses_end(make_settings: MakeSettings) -> None:
    again = module._again(queued(effect(), attempts=50), FetchFailed("x", "y", again=True))
    assert again.after_s == module.LONGEST_PAUSE_S
