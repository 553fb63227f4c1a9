"""The runs below a folder: what each does, when it went on last, how far it is, and what came out.

meddiff runs             # those below runs/
meddiff runs ~/studies
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from meddiff.command_line import settings_command
from meddiff.errors import InputError
from meddiff.files.printable import printable
from meddiff.files.walk import files_below
from meddiff.jobs.progress import new_console
from meddiff.recipe.commands import Runs
from meddiff.run import RunFolder, headline_of, kind_of, settings_in, state_of


@dataclass(frozen=True)
class Summary:
    """One run in a few words."""

    folder: Path
    does: str
    dataset: str
    preset: str
    when: datetime
    """Time at which a stage ended last; where none has, at which the run was begun."""
    state: str
    headline: str
    """First sentence of the report; empty where there is none yet."""


def runs_below(path: Path) -> list[Summary]:
    """Summarize the runs of a folder and of all below it, the latest first; one that cannot be read says why."""
    folders = [file.parent for file in files_below(path) if file.name == "recipe.yaml"]
    return sorted(map(summary, folders), key=lambda one: one.when, reverse=True)


def summary(path: Path) -> Summary:
    """Say what a run does, how far it is and what came out."""
    folder = RunFolder(path)
    written = folder.stages if folder.stages.is_file() else folder.recipe
    when = datetime.fromtimestamp(written.stat().st_mtime)
    try:
        settings = settings_in(folder)
        dataset, preset = (printable(str(settings.get(name, "?"))) for name in ("dataset", "preset"))
        does = kind_of(settings).DOES.partition(" and ")[0]
        return Summary(path, does, dataset, preset, when, state_of(folder), headline_of(folder))
    except InputError as error:
        return Summary(path, "cannot be read", "?", "?", when, str(error), "")


def run(settings: Runs) -> None:
    """Print one paragraph per run, the latest first.

    Raises:
        InputError: there is no such folder, or no run in it.
    """
    console = new_console()
    path = Path(settings.path).expanduser()
    if not path.is_dir():
        raise InputError(f"{path}: there is no such folder. Name the one that holds your runs: meddiff runs FOLDER")
    runs = runs_below(path)
    if not runs:
        raise InputError(f"{path}: there is no run in it (no recipe.yaml). `meddiff augment --dataset isic` makes one")
    for one in runs:
        console.print(f"{one.folder}", style="bold", soft_wrap=True)
        console.print(
            f"  {one.does} of {one.dataset} ({one.preset}), {one.when:%Y-%m-%d %H:%M}, {one.state}", soft_wrap=True
        )
        if one.headline:
            console.print(f"  {one.headline}", soft_wrap=True)


main = settings_command(Runs, "runs", "[FOLDER]", __doc__, run)
