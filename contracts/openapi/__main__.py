"""``python -m contracts.openapi``: writes the documents, or checks that they are up to date."""

from pathlib import Path

import click

from contracts.openapi import DIRECTORY, outdated, write


@click.command("python -m contracts.openapi")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if a document is out of date.")
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=DIRECTORY,
    help="Folder of the documents.  [default: the package's own]",
)
def main(check: bool, directory: Path) -> None:
    """Write the OpenAPI documents that the contracts' models and paths amount to."""
    if not check:
        write(directory)
        return
    if stale := outdated(directory):
        for path in stale:
            click.echo(f"{path} is missing or out of date", err=True)
        click.echo("run `python -m contracts.openapi` and commit what it writes", err=True)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
