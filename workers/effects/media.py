"""Fetches the media of customers' messages into the folder that PHP reads.

If the process dies before a file has its name, it is fetched again; if it dies after, the file is
found and reported. Either way there is one file for one effect, and PHP hears of it.
"""

import asyncio
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import structlog

from contracts.backend import VendorConfig
from contracts.effects import EffectKind, FetchMedia, MediaReport, MediaState
from sidecar.clock import now_ms
from sidecar.settings import Settings
from workers.effects.handler import Again, Done, End, GivenUp, Queued
from workers.effects.media_client import Address, FetchFailed, MediaClient, digest_of, too_large
from workers.effects.media_folder import MediaFolder, Stored, is_name
from workers.effects.reports import Reports

log = structlog.get_logger()

#: Threads that write: the disk is one.
_THREADS = 4
#: Pause after the first failed attempt; four times as much after each further one. An address is
#: valid for five minutes, so each attempt asks for a new one.
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 900.0
#: While the folder cannot be written to, which is for the operator to mend.
FOLDER_PAUSE_S = 30.0
#: How often parts of dead processes are looked for, and how much longer than any download may take
#: nobody has written to them then.
CLEANUP_S = 600.0
PARTS_MARGIN_S = 30.0
#: As long as PHP keeps it.
MAX_REASON = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MediaPolicy:
    """``limits``: largest file by the message's type, ``limit`` for any other. ``at_once``:
    downloads of one vendor, ``in_process``: of all vendors together."""

    limits: Mapping[str, int]
    limit: int
    max_attempts: int
    at_once: int
    in_process: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            limits={
                "image": settings.media_image_limit_bytes,
                "audio": settings.media_audio_limit_bytes,
                "video": settings.media_video_limit_bytes,
                "sticker": settings.media_sticker_limit_bytes,
            },
            limit=settings.media_limit_bytes,
            # Otherwise PHP would never learn of media that is given up.
            max_attempts=min(settings.media_max_attempts, settings.effect_max_attempts),
            at_once=settings.media_concurrency,
            in_process=settings.media_process_concurrency,
        )

    def limit_of(self, kind: str | None) -> int:
        return min(self.limit, self.limits.get(kind or "", self.limit))


@dataclass(frozen=True, slots=True)
class _Fetched:
    stored: Stored
    mime_type: str | None


class MediaFetcher:
    """Fetches media: :class:`workers.effects.handler.Handler` of ``fetch_media``.

    Every effect ends with a report to PHP: where the file is, or that there is none and why. What
    an operator may be able to cure becomes a dead letter as well. ``client`` and ``reports`` are
    its own; ``folder`` is None where the setting ``media_dir`` is not set.
    """

    kind = EffectKind.FETCH_MEDIA
    batch = 1

    def __init__(
        self,
        client: MediaClient,
        folder: MediaFolder | None,
        reports: Reports[MediaReport],
        policy: MediaPolicy,
    ) -> None:
        self.at_once = policy.at_once
        self._client = client
        self._folder = folder
        self._reports = reports
        self._policy = policy
        self._room = asyncio.Semaphore(policy.in_process)
        self._threads = ThreadPoolExecutor(_THREADS, "media")

    def arrived(self, queued: Queued) -> None:
        """Do nothing: there is nothing to prepare."""

    async def do(self, config: VendorConfig, batch: list[Queued]) -> list[End]:
        return [await self._fetch(config, queued) for queued in batch]

    async def close(self) -> None:
        await self._reports.close()
        await self._client.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _fetch(self, config: VendorConfig, queued: Queued) -> End:
        effect = queued.effect
        if not isinstance(effect, FetchMedia):
            return GivenUp(f"{effect.kind} is no media to fetch")
        if self._folder is None:
            return GivenUp(
                "there is no folder for media: set media_dir here, or turn it off in PHP"
            )
        if not (is_name(queued.vendor_uid) and is_name(queued.id)):
            return GivenUp("its id cannot be the name of a file")
        report = self._reports.kept(queued.vendor_uid, queued.id)
        failure: FetchFailed | None = None
        # One that failed is tried again: the operator may have replayed it.
        if report is None or report.state is not MediaState.STORED:
            try:
                report = _stored(queued, effect, await self._file(self._folder, config, queued))
            except FetchFailed as error:
                last = error.counts and queued.attempts + 1 >= self._policy.max_attempts
                if error.again and not last:
                    return _again(queued, error)
                failure, report = error, _failed(queued, effect, error)
            except OSError as error:
                # The disk is full, or the folder is not there or not ours: nobody's attempt.
                log.error("media.folder_unavailable", vendor=queued.vendor_uid, reason=str(error))
                return Again(
                    f"the folder of media cannot be used: {error.strerror}",
                    after_s=FOLDER_PAUSE_S,
                    counts=False,
                )
        end = await self._reports.bring(report)
        if failure is None or not isinstance(end, Done):
            return end
        log.warning("media.failed", vendor=queued.vendor_uid, effect=queued.id, reason=str(failure))
        if not failure.curable:
            return end
        return GivenUp(str(failure), refused=failure.refused)

    async def _file(self, folder: MediaFolder, config: VendorConfig, queued: Queued) -> _Fetched:
        """Return the file, which may be there already."""
        effect = queued.effect
        assert isinstance(effect, FetchMedia)
        async with self._room:
            found = await self._in_thread(
                folder.find, queued.vendor_uid, queued.id, effect.mime_type
            )
            if found is not None:
                return _Fetched(found, effect.mime_type)
            if not config.access_token:
                raise FetchFailed("token_invalid", "the vendor has no access token", again=True)
            limit = self._policy.limit_of(effect.type)
            address = await self._client.address(config.access_token, effect.media_id)
            if (address.size or 0) > limit:
                raise too_large(address.size or 0, limit)
            stored = await self._download(folder, config.access_token, queued, address, limit)
            return _Fetched(stored, address.mime_type or effect.mime_type)

    async def _download(
        self, folder: MediaFolder, token: str, queued: Queued, address: Address, limit: int
    ) -> Stored:
        effect = queued.effect
        assert isinstance(effect, FetchMedia)
        async with self._client.stream(token, address.url, limit) as chunks:
            part = await self._in_thread(folder.begin, queued.id, address.size or 0)
            try:
                async for chunk in chunks:
                    await self._in_thread(part.write, chunk)
                _check(part.sha256, effect.sha256, address.sha256)
                return await self._in_thread(
                    part.keep, queued.vendor_uid, queued.id, effect.mime_type, queued.put_at
                )
            finally:
                part.discard()

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(function, *args))


def _check(found: str, *told: str | None) -> None:
    """Compare with what the webhook and the Cloud API say of it, if they do."""
    for text in told:
        digest = digest_of(text)
        if digest is not None and digest != found:
            raise FetchFailed("sha256_wrong", "the file is not what was announced", again=True)


def _again(queued: Queued, error: FetchFailed) -> Again:
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 4.0 ** min(queued.attempts, 10))
    return Again(
        str(error),
        after_s=error.after_s or pause_s,
        counts=error.counts,
        refused=error.refused,
    )


def _stored(queued: Queued, effect: FetchMedia, fetched: _Fetched) -> MediaReport:
    stored = fetched.stored
    return _report(
        queued,
        effect,
        state=MediaState.STORED,
        path=stored.path,
        bytes=stored.bytes,
        mime_type=fetched.mime_type,
        sha256=stored.sha256,
    )


def _failed(queued: Queued, effect: FetchMedia, error: FetchFailed) -> MediaReport:
    return _report(
        queued,
        effect,
        state=MediaState.FAILED,
        mime_type=effect.mime_type,
        reason=str(error)[:MAX_REASON],
    )


def _report(queued: Queued, effect: FetchMedia, **found: Any) -> MediaReport:
    return MediaReport(
        id=queued.id,
        vendor_uid=queued.vendor_uid,
        media_id=effect.media_id,
        wamid=effect.wamid,
        at=now_ms(),
        **found,
    )


def make_folder(settings: Settings) -> MediaFolder | None:
    """Return the folder of these settings, if there is one."""
    if settings.media_dir is None:
        return None
    return MediaFolder(settings.media_dir, free_bytes=settings.media_free_disk_bytes)


async def remove_parts(settings: Settings) -> None:
    """Remove what dead processes have left half-done, at once and from time to time. Ends only
    where there is no folder."""
    folder = make_folder(settings)
    # Longer than any download may take, so that nobody's is removed.
    older_than_s = settings.media_timeout_s + PARTS_MARGIN_S
    while folder is not None:
        try:
            removed = await asyncio.to_thread(folder.remove_parts, older_than_s)
            if removed:
                log.info("media.parts_removed", parts=removed)
        except OSError as error:
            log.error("media.folder_unavailable", reason=str(error))
        await asyncio.sleep(CLEANUP_S)
