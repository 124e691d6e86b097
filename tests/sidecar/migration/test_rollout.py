"""Percentages of vendors: always the same ones, and larger ones contain the smaller."""

import uuid

from contracts.modes import Mode, Modes, VendorModes
from contracts.sidecar_api import ModesChange
from sidecar.migration.rollout import percentile, rollback_all_reason, rollout_reason, seen

VENDORS = [str(uuid.UUID(int=number)) for number in range(5000)]


def test_it_is_always_the_same() -> None:
    assert percentile("d650c337-a5ff-5514-b9fa-edbb2b47c128") == 56.79


def test_a_larger_percentage_contains_the_smaller() -> None:
    within = [{v for v in VENDORS if percentile(v) < percent} for percent in (0, 10, 50, 100)]
    assert within[0] == set()
    assert within[1] < within[2] < within[3] == set(VENDORS)


def test_percentages_are_about_right() -> None:
    for percent in (1, 10, 50):
        found = sum(percentile(vendor) < percent for vendor in VENDORS)
        assert 0.7 * percent < 100 * found / len(VENDORS) < 1.3 * percent


def test_what_was_shown_is_told_from_what_is() -> None:
    vendors = [VendorModes(vendor_uid=uid, modes=Modes()) for uid in VENDORS[:2]]
    asked = ModesChange(vendor_uids=[], bots=Mode.SHADOW, by="ada")
    shown = seen(vendors, asked)
    assert seen(vendors, asked.model_copy(update={"by": "ben", "timeout_s": 1.0})) == shown
    moved = [vendors[0], vendors[1].model_copy(update={"modes": Modes(bots=Mode.SHADOW)})]
    others = [
        seen(vendors[:1], asked),
        seen(moved, asked),
        seen(vendors, asked.model_copy(update={"bots": Mode.SIDECAR})),
        seen(vendors, asked.model_copy(update={"webhooks": Mode.SHADOW})),
    ]
    assert len({shown, *others}) == 5


def test_what_is_kept_with_a_change_of_many() -> None:
    assert rollout_reason(12.5, None) == "rollout to 12.5 percent"
    assert rollout_reason(10, "week 5") == "rollout to 10 percent: week 5"
    assert rollback_all_reason(None) == "rollback of all"
