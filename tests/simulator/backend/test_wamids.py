import hashlib

from simulator.backend.wamids import data, same, stored

LONG = "wamid." + "é" * 280


def test_an_id_that_fits_is_stored_as_it_is() -> None:
    fits = "é" * 255
    assert stored(fits) == fits
    assert data(fits) == {}


def test_one_that_does_not_has_a_stand_in() -> None:
    digest = hashlib.sha256(LONG.encode()).hexdigest()
    assert stored(LONG) == f"{LONG[:190]}~{digest}"
    assert len(stored(LONG)) == 255
    assert stored(stored(LONG)) == stored(LONG)
    assert data(LONG) == {"wamid": LONG}
    assert same(LONG) == (stored(LONG), stored(LONG))
