"""What is written is what the settings read, whole or not at all, and over nothing."""

import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.commands.setup import files
from sidecar.commands.setup.answers import with_password
from sidecar.settings import CONFIG_VARIABLE, Settings
from tests.contracts.hypotheses import unhurried
from tests.sidecar.commands.setup.made import answers

TEXT = st.text(max_size=40)


@settings(unhurried, max_examples=50)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]+", fullmatch=True), TEXT | st.integers(0) | st.lists(TEXT)
    )
)
def test_toml(values: dict[str, object]) -> None:
    assert tomllib.loads(files.toml(values)) == values


@settings(unhurried, max_examples=20)
@given(
    password=st.text(min_size=1, max_size=40),
    app_secret=st.none() | st.from_regex(r"(?:[A-Za-z0-9._~+/=-]{8,64},?){1,3}", fullmatch=True),
    port=st.integers(1, 65535),
    embedded=st.booleans(),
)
def test_what_is_written_is_what_the_settings_read(
    tmp_path_factory: pytest.TempPathFactory,
    password: str,
    app_secret: str | None,
    port: int,
    embedded: bool,
) -> None:
    redis_url = None if embedded else with_password("redis://127.0.0.1:6379/0", password)
    told = answers(redis_url=redis_url, app_secret=app_secret, port=port)
    path = tmp_path_factory.getbasetemp() / "sidecar.toml"
    files.write(path, files.toml(told.settings()), files.SECRET, replace=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, str(path))
        found = Settings.load()
    assert (found.backend_url, found.port) == (told.backend_url, port)
    assert (found.redis_url, found.public_url) == (redis_url, told.public_url)
    assert found.signing_secrets == {"first": told.signing_secret.encode()}
    secrets = [secret for secret in (app_secret or "").split(",") if secret]
    assert [secret.decode() for secret in found.app_secret_bytes] == secrets
    assert found.data_dir == (told.data_dir if embedded else Path("var"))


@pytest.mark.parametrize("mode", [files.SECRET, files.PUBLIC])
def test_a_file_and_its_folder(tmp_path: Path, mode: int) -> None:
    before = os.umask(0)
    try:
        files.write(tmp_path / "a" / "b", "text", mode, replace=False)
    finally:
        os.umask(before)
    path = tmp_path / "a" / "b"
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("text", mode)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("target", ["file", "dangling link", "folder"])
def test_nothing_is_replaced(tmp_path: Path, target: str) -> None:
    path = tmp_path / "sidecar.toml"
    if target == "file":
        path.write_text("theirs")
    elif target == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        files.write(path, "ours", files.SECRET, replace=False)
    assert target != "file" or path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_one_that_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.toml"
    path.write_text("theirs")
    path.chmod(0o644)
    files.write(path, "ours", files.SECRET, replace=True)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("ours", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_who_dies_half_way_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sidecar.toml"
    path.write_text("theirs")

    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", die)
    with pytest.raises(KeyboardInterrupt):
        files.write(path, "ours", files.SECRET, replace=True)
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]
