"""Reading MIGRATION.md."""

from pathlib import Path

from simulator.migration.page import read_page


def test_every_command_of_the_page_belongs_to_a_step() -> None:
    steps = read_page()
    assert [step.title.split(",")[0] for step in steps[:-1]] == [
        f"Step {number}" for number in range(1, len(steps))
    ]
    assert steps[-1].title == "All the way back"
    found = sum(len(step.commands) + len(step.back) for step in steps)
    text = Path("MIGRATION.md").read_text()
    lines = [
        line
        for block in text.split("```sh")[1:]
        for line in block.split("```")[0].splitlines()[1:]
        if line
    ]
    assert found == len(lines) > 20


def test_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# T\n## Step 1, week 1: one\n```sh\na\n\nb c\n```\ntext\n```sh back\nd\n```\n"
        "## All the way back\n```text\nno\n```\n```sh back\ne\n```\n"
    )
    one, back = read_page(page)
    assert (one.title, one.commands, one.back) == ("Step 1, week 1: one", ["a", "b c"], ["d"])
    assert (back.commands, back.back) == ([], ["e"])
