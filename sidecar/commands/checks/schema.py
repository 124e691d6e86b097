"""PHP's tables: are the columns there, and contracts/sql/indexes.sql applied."""

from collections.abc import Iterator

from contracts.diagnosis import COLUMNS, INDEXES, TableFacts
from sidecar.commands.checks.line import Line, fail, ok, warn

#: Tables that only the bots need.
_BOTS = {"bots", "bot_flows"}

#: Indexes that only PHP's own crons profit from.
_CRONS = {"sidecar_queue_vendor", "sidecar_webhooks_pending"}

_RUN = "run contracts/sql/indexes.sql: it locks nothing, and can be run again"


def judge_schema(tables: list[TableFacts]) -> Iterator[Line]:
    found = {table.name: table for table in tables}
    for name in COLUMNS:
        if name in found:
            yield _table(found[name])
        else:
            yield warn(f"table {name}", "PHP does not report it", "update the package")


def _table(table: TableFacts) -> Line:
    what = f"table {table.table}"
    bad = warn if table.name in _BOTS else fail
    if not table.columns:
        return bad(
            what,
            "not found" + (", so there are no bots" if table.name in _BOTS else ""),
            f"set the right name in config('whatsapp-sidecar.tables.{table.name}')",
        )
    missing = [column for column in COLUMNS[table.name] if column not in table.columns]
    if missing:
        return bad(what, f"lacks {', '.join(missing)}", "check that it is the right table")
    return _indexes(what, table)


def _indexes(what: str, table: TableFacts) -> Line:
    wanted = INDEXES.get(table.name, {})
    if table.indexes is None:
        return ok(what, "has its columns; this backend manages its own indexes")
    missing = [name for name in wanted if name not in table.indexes]
    other = [
        name
        for name, columns in wanted.items()
        if name not in missing and tuple(table.indexes[name]) != columns
    ]
    if other:
        return fail(what, f"{', '.join(other)} has the wrong columns", f"drop it, and {_RUN}")
    if set(missing) - _CRONS:
        return fail(what, f"{', '.join(missing)} is missing", _RUN)
    if missing:
        return warn(what, f"{', '.join(missing)} is missing, which PHP's own cron needs", _RUN)
    count = len(wanted)
    return ok(what, "has its columns" + (f" and {count} of our indexes" if count else ""))
