import hashlib

from tests.simulator.cloud_api.helpers import simulating


async def test_a_large_medium_is_made() -> None:
    async with simulating() as api:
        order = {"size": 30_000_000, "mime_type": "video/mp4"}
        made = (await api.control("POST", "media", order)).json
        assert (made["file_size"], made["mime_type"]) == (30_000_000, "video/mp4")
        media = api.simulator.engine.media.get(made["id"])
        assert media is not None
        digest = hashlib.sha256()
        for chunk in media.chunks():
            digest.update(chunk)
        assert digest.hexdigest() == made["sha256_hex"]


async def test_orders_are_checked() -> None:
    async with simulating() as api:
        assert (await api.control("POST", "media", {"size": 0})).status == 400
        assert (
            await api.control("POST", "media", {"size": 1, "phone_number_id": "x"})
        ).status == 404
        assert (await api.control("POST", "media-faults", {"kind": "odd"})).status == 400
        assert (await api.control("POST", "inbound", {"media_bytes": 5})).status == 400
        order = {"type": "text", "media_bytes": 5}
        assert (await api.control("POST", "inbound", order)).status == 400
