"""The scripts' headers name states of the enums, and the transitions of the tables: all of them
that the script makes, and no other."""

import re
from pathlib import Path
from typing import Any

import pytest

import sidecar.redis.client
from contracts import campaigns
from contracts.transitions import Transitions, name
from sidecar.effects import effect_states
from sidecar.effects.effect_states import EffectState
from sidecar.inbox import update_states
from sidecar.inbox.update_states import UpdateState
from sidecar.redis.letter_bounds import LetterKind
from sidecar.sending import row_states
from sidecar.sending.row_states import RowState

LUA = Path(sidecar.redis.client.__file__).parent / "lua"
SCRIPTS = {path.name: path for path in LUA.rglob("*.lua")}
#: What a header says: of what, where the table is, and the transitions.
HEADER = re.compile(r"(?m)^-- States of (\w+) \(([\w/]+\.py)\):((?:[^\n]*\n--  )*[^\n]*)$")

TABLES: dict[tuple[str, str], Transitions[Any]] = {
    ("rows", "sidecar/sending/row_states.py"): row_states.TRANSITIONS,
    ("updates", "sidecar/inbox/update_states.py"): update_states.TRANSITIONS,
    ("effects", "sidecar/effects/effect_states.py"): effect_states.TRANSITIONS,
}


def headers(path: Path) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Return the transitions that a script's header names, by what and where the table is."""
    found = {}
    for what, where, text in HEADER.findall(path.read_text()):
        steps = text.replace("\n--", " ").split(",")
        named = [re.fullmatch(r"\s*(\w+) -> (\w+)\s*", step) for step in steps]
        assert all(named), (path, text)
        found[what, where] = {(step[1], step[2]) for step in named if step}
    return found


def test_no_script_has_the_name_of_another() -> None:
    assert len(SCRIPTS) == len(list(LUA.rglob("*.lua")))


@pytest.mark.parametrize("subject", list(TABLES))
def test_each_script_names_what_the_table_says_it_does(subject: tuple[str, str]) -> None:
    table = TABLES[subject]
    said = {script: headers(path).get(subject, set()) for script, path in SCRIPTS.items()}
    assert {one.by for one in table} <= SCRIPTS.keys()
    assert said == {script: table.made_by(script) for script in SCRIPTS}


def test_halts_name_states_of_campaigns() -> None:
    """Scripts put halts up and take them away because of a person's action, or of errors."""
    subject = ("campaigns", "contracts/campaigns.py")
    allowed = {(name(one.before), name(one.after)) for one in campaigns.TRANSITIONS}
    said = {script: found for script in SCRIPTS if (found := headers(SCRIPTS[script]).get(subject))}
    assert said.keys() == {"put_halt.lua", "change_halt.lua", "failed.lua"}
    assert set().union(*said.values()) <= allowed


def test_headers_are_of_known_tables() -> None:
    known = {*TABLES, ("campaigns", "contracts/campaigns.py")}
    assert {subject for path in SCRIPTS.values() for subject in headers(path)} == known


@pytest.mark.parametrize(
    ("key", "what"),
    [
        (r"KEYS\[\d+\]  ledger:\{campaign\}", "rows"),
        (r"effects:\{kind\}:\{vendor\}", "effects"),
        (r"-- include dead_letters/dead_letters\.lua", "effects|updates"),
    ],
)
def test_no_script_that_writes_them_is_left_out(key: str, what: str) -> None:
    writing = {
        script: text
        for script, path in SCRIPTS.items()
        if re.search(key, text := path.read_text()) and "no-writes" not in text.partition("\n")[0]
    }
    assert len(writing) > 1
    for script, text in writing.items():
        assert re.search(rf"-- States of ({what}) ", text), script


# -- what the scripts call by the same names --


def test_the_letters_of_rows() -> None:
    text = SCRIPTS["ledger_rows.lua"].read_text()
    declared = re.search(r'(?m)^local (\w+), (\w+), (\w+) = "(.)", "(.)", "(.)"$', text)
    assert declared is not None
    names, letters = declared.groups()[:3], declared.groups()[3:]
    assert dict(zip(names, letters, strict=True)) == {one.name: one.value for one in RowState}
    quoted = {f'"{one.value}"' for one in RowState} | {f'"{one.value}:' for one in RowState}
    for script, path in SCRIPTS.items():
        if path.parent.name == "sending" and script != "ledger_rows.lua":
            assert not [word for word in quoted if word in path.read_text()], script


def test_the_counters_of_dead_letters() -> None:
    text = SCRIPTS["dead_letters.lua"].read_text()
    declared = re.search(r'(?m)^local COUNTER = \{updates = "(\w+)", effects = "(\w+)"\}$', text)
    assert declared is not None
    assert declared.groups() == (UpdateState.DEAD.value, EffectState.DEAD.counter)
    assert {one.value for one in LetterKind} == {"updates", "effects"}


def test_every_state_of_an_effect_is_one_that_the_script_knows() -> None:
    """What is neither waiting nor dead is counted under its name."""
    text = SCRIPTS["end_effects.lua"].read_text()
    assert re.findall(r'state == "(\w+)"', text) == [EffectState.WAITING, EffectState.DEAD]
    assert '"effects_" .. state' in text
    assert EffectState.DONE.counter == "effects_done"
