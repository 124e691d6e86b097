import base64

from simulator.cloud_api.wamid import WamidMint


def test_ids_are_unique() -> None:
    mint = WamidMint()
    assert len({mint.outgoing("4915112345678") for _ in range(100_000)}) == 100_000


def test_two_mints_do_not_meet() -> None:
    one, other = WamidMint(), WamidMint()
    ids = {mint.outgoing("49151") for _ in range(10_000) for mint in (one, other)}
    assert len(ids) == 20_000


def test_id_looks_like_metas() -> None:
    mint = WamidMint()
    outgoing, incoming = mint.outgoing("16505551234"), mint.incoming("16505551234")
    assert outgoing.startswith("wamid.HBgLMTY1MDU1NTEyMzQVAgARGB")
    assert incoming.startswith("wamid.HBgLMTY1MDU1NTEyMzQVAgASGB")
    assert b"16505551234" in base64.b64decode(outgoing.removeprefix("wamid."), validate=True)
