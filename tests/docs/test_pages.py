"""What the pages refer to is there: links, files, commands and targets of make."""

import re
from functools import cache
from pathlib import Path

import click
import pytest

from sidecar.commands.main import main
from sidecar.settings import Settings
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, code, prose

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

TARGETS = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
#: Folders of the repository that a path in backticks may begin with.
FOLDERS = "bench|contracts|deploy|docs|nginx|scripts|sidecar|simulator|tests|workers"
#: Files of code and configuration.
SOURCES = {".py", ".lua", ".php", ".conf", ".sql", ".yml", ".service", ".json"}


@each_page
def test_links(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors(file), target


@each_page
def test_files_that_are_named(page: Path) -> None:
    """A path is from the root, or from the folder that the page stands in."""
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./*@-]+)`", prose(page)):
        assert any(any(base.glob(path.rstrip("/"))) for base in (ROOT, page.parent)), path


@pytest.mark.parametrize(
    "name", ["README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "docs/glossary", "docs/contract"]
)
def test_names_that_are_in_code(name: str) -> None:
    """A word in backticks is one of the tree: a name in its code, or a file's."""
    page = ROOT / f"{name}.md"
    for word in re.findall(r"`(\w+(?:\.\w+)*)`", prose(page)):
        parts = {part.lstrip("_") for part in word.split(".")}
        assert word in _words() or parts <= _words(), word


@cache
def _words() -> set[str]:
    files = [
        file
        for folder in FOLDERS.split("|")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in SOURCES
    ]
    files += [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / "sidecar.example.toml"]
    words = {word for file in files for word in re.findall(r"[A-Za-z]\w*", file.read_text())}
    return words | {file.name for file in files}


@each_page
def test_targets_of_make(page: Path) -> None:
    named = re.findall(r"`make ([a-z][a-z-]*)", prose(page))
    named += re.findall(r"(?m)^make ([a-z][a-z-]*)", code(page))
    assert set(named) <= TARGETS


@each_page
def test_commands(page: Path) -> None:
    """Every ``sidecar ...`` in code is a command, with options that it has."""
    quoted = re.findall(r"`(sidecar [^`]+)`", prose(page))
    blocks = re.findall(r"(?m)^(sidecar .+?)(?: +#.*)?$", code(page))
    for line in [*quoted, *blocks]:
        _check(line.split())


def _check(words: list[str]) -> None:
    command: click.Command | None = main
    for word in words[1:]:
        assert command is not None, " ".join(words)
        context = click.Context(command, **command.context_settings)
        if word.isupper():  # stands for a name
            break
        if isinstance(command, click.Group) and re.fullmatch(r"[a-z][a-z-]*", word):
            command = command.get_command(context, word)
        elif word.startswith("--") and command.get_help_option_names(context):
            known = {"--help", *(name for option in command.params for name in option.opts)}
            assert word.partition("=")[0] in known, " ".join(words)
    assert command is not None, " ".join(words)


@each_page
def test_artisan_commands(page: Path) -> None:
    console = ROOT / "contracts" / "laravel" / "src" / "Console"
    signatures = re.findall(
        r"signature = '([^' ]+)", "".join(file.read_text() for file in console.glob("*.php"))
    )
    named = re.findall(r"php artisan ([\w-]+:[\w-]+)", page.read_text())
    assert set(named) <= {*signatures, "vendor:publish", "config:clear"}


def test_settings_that_are_named() -> None:
    """What looks like one in the pages for operators is one."""
    suffix = re.compile(r"`([a-z]+(?:_[a-z]+)*_(?:s|ms|bytes|share|concurrency|attempts|limit))`")
    for page in (ROOT / "MIGRATION.md", *DOCS.glob("*.md")):
        assert set(suffix.findall(prose(page))) <= set(Settings.model_fields), page.name


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
