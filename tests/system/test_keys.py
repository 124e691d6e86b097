"""What a busy run leaves in Redis: every key is one of the table, and goes when it says so."""

import asyncio
import re
from contextlib import closing

import redis

from contracts import sidecar_api as api
from sidecar.redis import keys
from simulator.control import call_sidecar
from simulator.demo import Demo
from tests.system.overview import assert_overview_is_true
from tests.system.running import assert_complete, wait_for_accepted


def table() -> dict[re.Pattern[str], str]:
    """Return what keys.py says of each key, by what such a key looks like. The longer ones come
    first: they say more."""
    what, _ = re.split(r"(?m)^What bounds each", keys.__doc__ or "")
    rows = re.findall(r"(?m)^\| ([a-z:{} ]+?) \| [a-z ]+ \| (.+) \|$", what)
    rows.sort(key=lambda row: len(re.sub(r"\{[^}]*\}", "", row[0])), reverse=True)
    return {
        re.compile("(.+)".join(map(re.escape, re.split(r"\{[^}]*\}", key)))): text
        for key, text in rows
        if key != "key"
    }


def call(demo: Demo, path: str) -> None:
    """Call the sidecar as the PHP admin does."""
    key = next(iter(demo.installation.keys.items()))
    path = path.format(campaign_uid=demo.campaign.uid)
    call_sidecar(demo.installation.processes["sidecar"], path, key)


def test_every_key_is_in_the_table_and_goes_when_it_says_so(demo: Demo) -> None:
    wait_for_accepted(demo, 100)
    call(demo, api.CAMPAIGN_PAUSE)
    call(demo, api.CAMPAIGN_RESUME)
    assert_complete(demo)
    asyncio.run(assert_overview_is_true(demo))
    call(demo, api.CAMPAIGN_CANCEL)
    described = table()
    classes = set()
    with closing(redis.Redis.from_url(demo.installation.redis_url)) as client:
        for name in client.scan_iter(count=1000):
            key = name.decode()
            pattern = next((one for one in described if one.fullmatch(key)), None)
            assert pattern is not None, f"{key} is in no table"
            classes.add(pattern.pattern)
            if "expires" in described[pattern]:
                assert client.pttl(key) != -1, f"{key} does not expire"
    assert {"fence:(.+)", "halt:(.+)", "dedup:(.+):(.+)", "number:(.+)", "nonce:(.+)"} <= classes
    assert {"console:session:(.+)", "console:sessions", "history:(.+)"} <= classes
    assert len(classes) > 15
