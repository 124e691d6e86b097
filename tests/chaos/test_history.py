from dataclasses import replace
from pathlib import Path

import orjson

from simulator.chaos.evidence import LogRow
from simulator.chaos.history import Logs, write_history
from simulator.chaos.verdict import Verdict
from tests.chaos.test_verdict import CLEAN, OTHER, ROW, message


def test_everything_about_a_row_that_was_sent_twice(tmp_path: Path) -> None:
    stage, folder = tmp_path / "stage", tmp_path / "history"
    (stage / "nginx").mkdir(parents=True)
    worker, nginx = stage / "worker-1.log", stage / "nginx" / "access.log"
    worker.write_text(f"before the round {ROW}\n")
    logs = Logs(stage)
    with worker.open("a") as lines:
        lines.write(f"sent {ROW}\nsent {OTHER}\n")
    nginx.write_text("wamid.again came in\n")
    again = {**message(ROW), "wamid": "wamid.again"}
    mishaps = [{"callback_data": ROW, "what": "slow"}, {"callback_data": OTHER, "what": "slow"}]
    verdict = Verdict(replace(CLEAN, messages=[*CLEAN.messages, again], mishaps=mishaps))

    assert write_history(folder, {"seed": 7}, verdict, logs) == folder

    assert (folder / "worker-1.log").read_text() == f"sent {ROW}\nsent {OTHER}\n"
    assert orjson.loads((folder / "round.json").read_bytes()) == {"seed": 7, "injected": []}
    found = orjson.loads((folder / "violations.json").read_bytes())
    [twice] = [one for one in found if one["promise"] == "sent_twice"]
    assert (twice["subject"], twice["what"]) == (ROW, "accepted 2 times")
    assert [one["wamid"] for one in twice["cloud_api"]] == [f"wamid.{ROW}", "wamid.again"]
    assert twice["mishaps"] == mishaps[:1]
    assert twice["log"] == [LogRow(ROW, f"wamid.{ROW}", "read")._asdict()]
    assert sorted(twice["lines"]) == [f"sent {ROW}", "wamid.again came in"]
