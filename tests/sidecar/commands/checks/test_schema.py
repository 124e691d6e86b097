"""Tables, columns and indexes."""

from contracts.diagnosis import COLUMNS, INDEXES, TableFacts
from sidecar.commands.checks.schema import judge_schema
from tests.sidecar.commands.checks.lines import levels, named


def tables() -> dict[str, TableFacts]:
    """As they should be, and with more than that."""
    return {
        name: TableFacts(
            name=name,
            table=f"app_{name}",
            columns=[*columns, "more"],
            indexes={
                "PRIMARY": ["_id"],
                **{key: list(value) for key, value in INDEXES.get(name, {}).items()},
            },
        )
        for name, columns in COLUMNS.items()
    }


def judge(name: str, **changes: object) -> str:
    found = tables()
    found[name] = found[name].model_copy(update=changes)
    wrong = levels(judge_schema([*found.values()]))
    [others] = {level for what, level in wrong.items() if what != f"table app_{name}"}
    assert others == "OK"
    return wrong[f"table app_{name}"]


def test_all_is_well() -> None:
    assert set(levels(judge_schema([*tables().values()])).values()) == {"OK"}
    assert judge("queue", indexes=None) == "OK"


def test_a_table_that_is_missing() -> None:
    assert judge("queue", columns=[]) == "FAIL"
    assert judge("bots", columns=[]) == "WARN"


def test_a_table_of_which_nothing_is_said() -> None:
    found = tables()
    del found["logs"]
    assert levels(judge_schema([*found.values()]))["table logs"] == "WARN"


def test_a_column_that_is_missing() -> None:
    columns = [column for column in COLUMNS["logs"] if column != "wamid"]
    assert judge("logs", columns=columns) == "FAIL"
    found = tables()
    found["logs"] = found["logs"].model_copy(update={"columns": columns})
    assert "wamid" in named(judge_schema([*found.values()]), "table app_logs").detail


def test_an_index_that_is_missing() -> None:
    for table, indexes in INDEXES.items():
        for name in indexes:
            rest = {key: list(value) for key, value in indexes.items() if key != name}
            crons = name in ("sidecar_queue_vendor", "sidecar_webhooks_pending")
            assert judge(table, indexes=rest) == ("WARN" if crons else "FAIL"), name
    assert judge("queue", indexes={}) == "FAIL"


def test_an_index_that_is_another_one() -> None:
    wrong = {key: list(value) for key, value in INDEXES["logs"].items()}
    wrong["sidecar_logs_wamid"] = ["wamid", "vendors__id"]
    assert judge("logs", indexes=wrong) == "FAIL"
