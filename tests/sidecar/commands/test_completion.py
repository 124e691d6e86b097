"""Completion for each shell; in bash it is tried."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sidecar.commands.running import run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_SIDECAR_COMPLETE" in result.stdout
    assert "sidecar" in result.stdout


def test_another_shell() -> None:
    result = run("completion", "csh")
    assert result.exit_code == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in result.stderr


def test_how_to_switch_it_on_is_said() -> None:
    assert 'eval "$(sidecar completion bash)"' in run("completion", "--help").stdout


def test_bash_completes_what_was_begun(tmp_path: Path) -> None:
    program, script = tmp_path / "sidecar", tmp_path / "completion"
    code = "from sidecar.commands.main import main; main(prog_name='sidecar')"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o755)
    script.write_text(run("completion", "bash").stdout)
    begun = "COMP_WORDS=(sidecar dem); COMP_CWORD=1"
    call = '_sidecar_completion sidecar; echo "${COMPREPLY[@]}"'
    done = subprocess.run(
        ["bash", "--norc", "-c", f". {script}; {begun}; {call}"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "demo\n", done.stderr
