"""Names of recipients in limits and suppression."""

import pytest

from sidecar.sending.recipients import MAX_NAME, name_of


@pytest.mark.parametrize(
    "forms",
    [
        ("5511987654321", "551187654321", "+55 11 98765-4321"),
        ("5215512345678", "525512345678"),
        ("5491112345678", "541112345678"),
        ("15550001111", "+15550001111"),
    ],
)
def test_all_forms_of_a_number_are_one_recipient(forms: tuple[str, ...]) -> None:
    assert len({name_of(form) for form in forms}) == 1


def test_user_ids_are_as_they_are() -> None:
    longest = "US.ENT." + "a" * 128
    assert name_of(longest) == longest
    assert name_of("us.1") != name_of("US.1")


def test_what_is_longer_than_any_id_is_bounded() -> None:
    names = {name_of("x" * length) for length in (MAX_NAME + 1, 3_000_000)}
    assert len(names) == 2
    assert all(len(name) == 32 for name in names)
