"""``bench/results/latest.json``: what was measured last, part by part."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figures import Figures, merged
from bench.peers.hybrid import HERE
from simulator.stack.packages import missing
from simulator.stack.versions import versions

ROOT = Path(__file__).parents[1]
LATEST = Path(__file__).parent / "results" / "latest.json"

_PACKAGES = ("uvicorn", "uvloop", "starlette", "dramatiq", "redis", "hiredis", "aiohttp")


def read(file: Path = LATEST) -> dict[str, Any]:
    """Return what was measured; no parts, if nothing was."""
    if not file.exists():
        return {"parts": {}}
    results: dict[str, Any] = json.loads(file.read_text())
    return results


def write(part: str, runs: list[Figures], seconds: float, quick: bool, file: Path = LATEST) -> None:
    """Put a part's runs in the place of those that were there."""
    results = read(file)
    parts = results["parts"]
    parts[part] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "runs": len(runs),
        "quick": quick,
        "seconds": round(seconds),
        "figures": merged(runs),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": machine(), "versions": _versions(), "parts": parts}, indent=1)
    file.write_text(text + "\n")


def machine() -> dict[str, Any]:
    """Return what this machine is."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cpu = Path("/proc/cpuinfo")
    names = [
        line.partition(":")[2].strip()
        for line in (cpu.read_text().splitlines() if cpu.exists() else [])
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9),
        "kernel": platform.release(),
    }


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    found |= {name: version(name) for name in _PACKAGES}
    if not missing():
        said = versions()
        stack = (said.laravel, said.php, said.database, said.redis, said.nginx)
        found |= dict(zip(("Laravel", "PHP", "database", "Redis", "nginx"), stack, strict=True))
    node = (ROOT / "scripts" / "portability" / "node.txt").read_text()
    found["Node"] = node.partition("==")[2].partition(" ")[0]
    pinned: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]
    return found | pinned


def _commit() -> str:
    """Return the commit that was measured, with a plus if the code differs from it; nothing without
    git."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", ".", ":!bench/results", ":!docs")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    return commit + "+" * bool(changed)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
