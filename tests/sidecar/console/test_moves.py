"""What a form asks for, and what whoever asks for it is told before."""

import pytest

from contracts.console import Role
from contracts.modes import Mode
from contracts.sidecar_api import ModesChange
from sidecar.console.forms import Form
from sidecar.console.moves import Unclear, asked_of, fields_of
from sidecar.console.sessions import Origin, User

ADA = User("ada", Role.OPERATE, Origin.LINK, "token", "session")


def asked(**fields: str) -> ModesChange:
    return asked_of(Form(list(fields.items())), ADA, "v")


def test_what_a_form_asks_for() -> None:
    change = asked(webhooks="sidecar", campaigns="", bots="php", reason=" why ")
    assert (change.webhooks, change.campaigns, change.bots) == (Mode.SIDECAR, None, Mode.PHP)
    assert (change.by, change.reason, change.vendor_uids) == ("ada", "why", ["v"])
    assert fields_of(change) == {"webhooks": "sidecar", "bots": "php", "reason": "why"}
    assert asked(bots="php", reason="").reason is None
    assert len(asked(bots="php", reason="x" * 900).reason or "") == 500


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Say what to move"),
        ({"webhooks": ""}, "Say what to move"),
        ({"campaigns": "held"}, "campaigns can be php, shadow, sidecar, and not held."),
        ({"bots": "<b>" * 90}, "bots can be"),
    ],
)
def test_what_makes_no_sense(fields: dict[str, str], words: str) -> None:
    with pytest.raises(Unclear, match=words) as caught:
        asked(**fields)
    assert len(str(caught.value)) < 120
