"""The package with checks in it: what PHP 8.5 deprecates is found by an older one."""

import subprocess
from pathlib import Path

import pytest

from simulator.stack.packages import program
from tests.stack.checked_package import checked_copy, checked_package
from tests.stack.packages import require_stack

WRONG = """<?php
declare(strict_types=1);
namespace WhatsappSidecar\\Laravel;
final class Wrong
{
    private const KINDS = ['a' => 1];
    public array $of = [];
    public static function run(string $way, ?string $null): mixed
    {
        $found = ['a' => ['b' => 2], 'it' => 'a'];
        $self = new self();
        [$one, $two] = [$found['a']['b'], "$found[it] {$found['it']}"];
        return match ($way) {
            'right' => [$one, $two, self::KINDS['a'], $found[$two[0]] ?? null],
            'read' => $found[$null] ?? null,
            'isset' => isset($found['a'][$null]),
            'write' => $self->of[$null] = 1,
            'second' => $self->of['a'][$null]['c'] ??= 1,
            'constant' => self::KINDS[$null] ?? null,
            'returned' => $self->list()[$null] ?? null,
            'inner' => $found[$found[$null] ?? 'a'],
            'text' => "in a text {$found[$null]}",
            'deprecated' => $self->dynamic = 1,
        };
    }
    private function list(): array
    {
        return [];
    }
}
"""

RUN = """
require $argv[1] . '/src/Offset.php';
require $argv[1] . '/src/Wrong.php';
error_reporting(-1);
foreach (array_slice($argv, 2) as $way) {
    try {
        WhatsappSidecar\\Laravel\\Wrong::run($way, null);
        echo "$way passes\\n";
    } catch (LogicException | ErrorException $error) {
        echo "$way fails\\n";
    }
}
"""


@pytest.fixture(autouse=True)
def stack() -> None:
    require_stack()


def test_every_way_of_using_null_as_an_offset_is_found(tmp_path: Path) -> None:
    (tmp_path / "wrong" / "src").mkdir(parents=True)
    (tmp_path / "wrong" / "src" / "Wrong.php").write_text(WRONG)
    copy = tmp_path / "copy"
    checked_copy(tmp_path / "wrong", copy)
    ways = ["read", "isset", "write", "second", "constant", "returned", "inner", "text"]
    ways += ["deprecated"]
    command = [program("php"), "-r", RUN, "--", str(copy), "right", *ways]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["right passes", *(f"{way} fails" for way in ways)]


def test_the_package_is_checked(tmp_path: Path) -> None:
    copy = Path(checked_package(tmp_path)["SIDECAR_PACKAGE"])
    assert "Offset::of($row->name ?? '')" in (copy / "src/Store/ModesTable.php").read_text()
    assert (copy / "config" / "whatsapp-sidecar.php").exists()
    assert (copy / "routes" / "internal.php").exists()
