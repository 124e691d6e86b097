"""PHP code that runs in the reference application."""

import os
import select
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from simulator.stack.application import APPLICATION, Application
from simulator.stack.packages import program
from tests.eventually import PATIENCE_S

#: The package's facade.
SIDECAR = "WhatsappSidecar\\Laravel\\Facades\\Sidecar"

_BOOT = f"""
$app = require '{APPLICATION}/bootstrap/app.php';
$app->make(Illuminate\\Contracts\\Http\\Kernel::class)->bootstrap();
"""

_STEPS = """
$say = static function ($value): void { fwrite(STDOUT, "\\n" . json_encode($value) . "\\n"); };
$wait = static fn () => fgets(STDIN);
"""


def run_php(
    application: Application,
    code: str,
    environment: Mapping[str, str] | None = None,
    *,
    web: bool = True,
) -> Any:
    """Run code and return what it returns, as JSON carries it. ``web``: as if in a web request,
    which ends after the code; else as on the command line."""
    script = f"{_BOOT} $answer = (function () use ($app) {{ {code} }})(); $app->terminate();"
    done = subprocess.run(
        [program("php"), "-r", f'{script} echo "\\n" . json_encode($answer);'],
        env=_environment(application, environment, web=web),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return orjson.loads(done.stdout.splitlines()[-1])


class PhpSteps:
    """Code that runs beside the test, on the command line, and stops where it is told to."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def has_said(self, timeout_s: float = 0.0) -> bool:
        """Tell whether there is something to read: an end of the process, too."""
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], timeout_s)[0])

    def said(self) -> Any:
        """Return the next value that the code has said, as JSON carries it."""
        assert self.has_said(PATIENCE_S), "PHP says nothing"
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) == b"\n":
            pass
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError:
            assert self._process.stdin is not None
            self._process.stdin.close()
            rest = self._process.stdout.read()
            raise AssertionError(f"PHP has failed: {(line + rest).decode()}") from None

    def go_on(self) -> None:
        """End the code's next wait, or the one that it is in."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")


@contextmanager
def php_steps(
    application: Application, code: str, environment: Mapping[str, str] | None = None
) -> Iterator[PhpSteps]:
    """Run code that calls ``$say($value)`` and ``$wait()``. It is let go at the end."""
    script = f"{_BOOT}{_STEPS} (function () use ($app, $say, $wait) {{ {code} }})();"
    with subprocess.Popen(
        [program("php"), "-r", f"{script} $app->terminate();"],
        env=_environment(application, environment, web=False),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as process:
        try:
            yield PhpSteps(process)
            process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()


def _environment(
    application: Application, environment: Mapping[str, str] | None, *, web: bool
) -> dict[str, str]:
    return {
        **os.environ,
        **application.variables,
        "APP_RUNNING_IN_CONSOLE": "false" if web else "true",
        **(environment or {}),
    }


def vendor_config(
    application: Application, vendor_uid: str, environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return what the package answers about a vendor with these variables."""
    action = "WhatsappSidecar\\Laravel\\Actions\\ReadVendorConfig"
    body = f'{{"vendor_uids": ["{vendor_uid}"]}}'
    code = f"return $app->make({action}::class)->handle('{body}');"
    answer: dict[str, Any] = run_php(application, code, environment)
    return answer
