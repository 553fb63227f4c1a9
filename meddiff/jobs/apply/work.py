"""The work of every command that makes something of each image of a user: a picture, a volume, a series, or a folder.

Inputs are listed, tied to their outputs by content (`ledger`), and worked through one after the other: a bad one gets a
line that says so, or ends the work; a killed run goes on where it was. The command adds what is made of one image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path

from rich.console import Console

from meddiff.errors import InputError
from meddiff.formats.dicom.series import choose
from meddiff.formats.find import Found, find, join_channels
from meddiff.formats.pictures import PICTURE_SUFFIXES
from meddiff.jobs.apply.ledger import CHANGED, OVERVIEW, SETTINGS, Ledger, Line, Product, Task
from meddiff.jobs.progress import bar
from meddiff.recipe.commands import Inputs
from meddiff.run import RunFolder

SHOWN = 5
"""Names of cases that a line shows."""


class Maker:
    """A command's way from an image to its outputs, with the network and settings that it needs."""

    def make(self, task: Task, ledger: Ledger) -> Line:
        """Write the outputs of an input into the ledger's folder, and return its line.

        Raises:
            InputError: nothing can be made of it.
        """
        raise NotImplementedError

    def each(self, tasks: Sequence[Task], ledger: Ledger) -> Generator[tuple[Task, Line | InputError]]:
        """Yield the line of each input, or what is wrong with it, in their order."""
        for task in tasks:
            began = time.monotonic()
            ledger.start(task)
            yield task, outcome(lambda task=task: self.make(task, ledger), began)

    def complete(self, task: Task, ledger: Ledger) -> None:
        """Add what is asked for beside an output of before; a command without such has nothing to add."""

    def finish(self, ledger: Ledger) -> None:
        """Write the sheet of all that was made, however the work ended; a command without one writes nothing."""

    def tell(self, ledger: Ledger, console: Console) -> None:
        """Print warnings about the outputs; a command without such prints nothing."""


def outcome(make: Callable[[], Line], began: float) -> Line | InputError:
    """Return the line of an input with the seconds since it was begun, or what is wrong with it."""
    try:
        return make() | {"seconds": round(time.monotonic() - began, 2)}
    except InputError as error:
        return error


def inputs_at(place: Path, settings: Inputs, product: Product) -> list[Found]:
    """List what is to be worked on; outputs that lie below the inputs are left out.

    Raises:
        InputError: there is nothing, or no such DICOM series.
    """
    out = Path(settings.output).expanduser().resolve()
    made = out if place.resolve() in out.parents else None
    inputs = [one for one in join_channels(find(place)) if one.kind != "other"]
    inputs = [one for one in inputs if not (product.is_output(one) and made in one.path.resolve().parents)]
    if settings.series is None:
        inputs = [one for one in inputs if one.series is None or one.series.is_image]
    else:
        chosen = choose([one.series for one in inputs if one.series], settings.series, place)
        inputs = [one.of_series(chosen) for one in inputs if one.series is None or one.series.files == chosen.files]
    if not inputs:
        raise InputError(
            f"{place}: there is nothing to {product.verb} in it. Name a picture ({', '.join(PICTURE_SUFFIXES)}), a "
            "volume (NIfTI, NRRD, MetaImage), a DICOM series, or a folder of them."
        )
    return inputs


def apply(
    maker: Maker, place: Path, inputs: Sequence[Found], settings: Inputs, console: Console, *, product: Product,
    made_by: str,
) -> Path:  # fmt: skip
    """Write the outputs of each input into --output, which this process holds alone; returns the table.

    Args:
        maker: what is made of one.
        place: where the inputs lie: a temporary folder if they came in an archive, named as --input in messages.
        inputs: what is worked on.
        settings: of the command.
        console: where it speaks.
        product: what is made, in words.
        made_by: digest of weights and settings that outputs are a function of, beside the images.

    Raises:
        InputError: an output folder that is read or that another process holds; a bad input with on_bad_file stop;
            nothing could be made.
    """
    folder = Path(settings.output).expanduser()
    ledger = Ledger(folder, made_by, product, (str(place), settings.input))
    with RunFolder(folder).opened(papers=[ledger.table, ledger.mark]):
        ledger.begin(inputs)
        _tell_before(ledger, console)
        work_through(maker, ledger, console, stop=settings.on_bad_file == "stop")
    maker.tell(ledger, console)
    return _tell_after(ledger, len(inputs), console)


def work_through(maker: Maker, ledger: Ledger, console: Console, *, stop: bool) -> None:
    """Walk through the inputs in their order; a bad one gets a line that says so, or ends the work.

    Raises:
        InputError: a bad input, with ``stop``.
    """
    try:
        for name, one in ledger.kept.items():
            try:
                maker.complete(Task(one, name), ledger)
            except InputError:
                if stop:
                    raise
        show = bar(console, ledger.product.doing, unit="cases")
        with closing(maker.each(ledger.tasks, ledger)) as lines:
            for task, line in show(lines, len(ledger.tasks)):
                if isinstance(line, InputError):
                    if stop:
                        raise line
                    line = {"problem": ledger.in_words(line)}
                ledger.note(task, line)
    finally:
        ledger.save()
        maker.finish(ledger)


def _tell_before(ledger: Ledger, console: Console) -> None:
    """Print what stands of a former run, what is done again and why, and whose images are gone."""
    product = ledger.product
    if ledger.kept:
        console.print(f"{len(ledger.kept)} of {len(ledger.kept) + len(ledger.tasks)} were done before")
    for why in (CHANGED, SETTINGS, product.missing):
        if names := [task.name for task in ledger.tasks if task.again == why]:
            console.print(f"{product.done} again, {why}: {some(names)}", soft_wrap=True)
    if ledger.gone:
        console.print(f"{product.noun}s of images that are not among these, left as they are: {some(ledger.gone)}",
                      soft_wrap=True)  # fmt: skip


def _tell_after(ledger: Ledger, count: int, console: Console) -> Path:
    """Print how many cases were done, failed and stood; returns the table.

    Raises:
        InputError: nothing could be made.
    """
    product = ledger.product
    problems = [str(line["problem"]) for task in ledger.tasks if (line := ledger.lines[task.name])["problem"]]
    for reason, names in _by_reason(ledger).items():
        console.print(f"failed, {reason}: {some(names)}", soft_wrap=True)
    if (sheet := ledger.folder / OVERVIEW).is_file():
        order = ", the least sure first" if product.score == "uncertainty" else ""
        console.print(f"{product.noun}s to look at{order}: {sheet}", soft_wrap=True)
    kept = f", {len(ledger.kept)} kept from before" if ledger.kept else ""
    done = len(ledger.tasks) - len(problems)
    console.print(f"{done} {product.done}, {len(problems)} failed{kept}: {ledger.table}", soft_wrap=True)
    if len(problems) == count:
        raise InputError(f"nothing could be {product.done}; the first of {count}: {problems[0]}")
    return ledger.table


def _by_reason(ledger: Ledger) -> dict[str, list[str]]:
    """Gather the names of the cases that failed by what was wrong, whatever the file is called."""
    reasons: dict[str, list[str]] = {}
    for task in ledger.tasks:
        line = ledger.lines[task.name]
        if line["problem"]:
            reason = str(line["problem"]).replace(line["file"], "").partition(". Give a good copy")[0]
            reasons.setdefault(reason.strip(" :"), []).append(task.name)
    return reasons


def some(names: Sequence[str]) -> str:
    """Return the first few names, and say how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
