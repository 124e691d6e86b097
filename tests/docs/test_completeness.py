"""What comes in kinds is told of whole: commands, calls, effects, rooms, targets, pages."""

import re

import pytest

from contracts.effects import EffectKind
from contracts.openapi import DOCUMENTS
from sidecar.commands.main import COMMANDS
from sidecar.effects.outbox import REPEATABLE
from tests.contracts.conformance import load
from tests.docs.pages import DOCS, ROOT, prose
from tests.sidecar.commands.test_main import LEAVES

README = ROOT / "README.md"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_has_every_command(command: str) -> None:
    [table] = re.findall(r"(?ms)^\| command \|.*?\n\n", README.read_text())
    assert re.search(rf"`(sidecar )?{command}[` ]", table)


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_operations_has_every_command(name: str) -> None:
    """In the table, by its name, or behind another one of its group."""
    [table] = re.findall(r"(?ms)^\| command \|.*?\n\n", (DOCS / "operations.md").read_text())
    group, _, leaf = name.partition(" ")
    [*rows] = [row for row in table.splitlines() if re.search(rf"`{group}\b|, `{group}\b", row)]
    assert any(re.search(rf"[` ]{leaf or group}\b", row) for row in rows), name


CALLS = [(name, path) for name in DOCUMENTS for path in load(name)["paths"]]


@pytest.mark.parametrize(("side", "path"), CALLS)
def test_the_contract_has_every_signed_call(side: str, path: str) -> None:
    operations = load(side)["paths"][path].values()
    if any("SidecarSignature" in scheme for one in operations for scheme in one["security"]):
        name = re.sub(r"/?\{[^}]*\}", "", path).rpartition("/")[2]
        assert re.search(rf"[`/{{]{name}\b", prose(DOCS / "contract.md")), path


@pytest.mark.parametrize("kind", list(EffectKind))
@pytest.mark.parametrize(
    "page", ["docs/contract.md", "docs/glossary.md", "contracts/laravel/README.md"]
)
def test_every_kind_of_effect(kind: EffectKind, page: str) -> None:
    assert f"`{kind.value}`" in prose(ROOT / page)


def test_every_kind_of_effect_that_may_be_dropped() -> None:
    [said] = re.findall(r"(?s)`dropped`: (.*?)\n- ", (DOCS / "states.md").read_text())
    assert {kind for kind in EffectKind if f"`{kind}`" in said} == set(REPEATABLE)


@pytest.mark.parametrize("package", ["sidecar", "workers"])
def test_the_architecture_has_every_room(package: str) -> None:
    rooms = {folder.parent.name for folder in (ROOT / package).glob("*/__init__.py")}
    [table] = re.findall(rf"(?ms)^\| {package} \|.*?\n\n", (ROOT / "ARCHITECTURE.md").read_text())
    first_cells = re.findall(r"(?m)^\| ([^|]+) \|", table)
    assert rooms <= set(re.findall(r"`(\w+)`", " ".join(first_cells)))


def test_every_page_can_be_reached_from_the_readme() -> None:
    linked, left = set(), {README}
    while left:
        page = left.pop()
        linked.add(page)
        for target in re.findall(r"\]\(([^)#\s]+)", prose(page)):
            file = (page.parent / target).resolve()
            found = file.glob("*.md") if file.is_dir() else [file]
            left |= {one for one in found if one.suffix == ".md" and one.is_file()} - linked
    assert {*ROOT.glob("*.md"), *DOCS.rglob("*.md")} <= linked
