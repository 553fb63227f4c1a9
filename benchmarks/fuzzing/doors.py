"""Which public doors a format is handed to, and what came of it."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from fuzzing.dicom_fields import DICOM
from fuzzing.fields import FIELDS
from fuzzing.hostile import HOSTILE
from fuzzing.mutations import ANY
from fuzzing.papers import PAPERS
from fuzzing.run_seeds import MASKS, RUN, SEGMENTATION, STUDY, placed
from fuzzing.sample import Sample
from meddiff.errors import InputError

# What libraries say of memory they did not get, where it is no MemoryError.
_NO_MEMORY = ("bad_alloc", "failed to allocate", "unable to allocate", "cannot allocate", "out of memory")


def volume(path: Path) -> None:
    from meddiff.formats.nifti import SUFFIXES, read_nifti_header
    from meddiff.formats.open import load_volume

    if path.name.endswith(SUFFIXES):
        try:
            read_nifti_header(path)
        except InputError as error:
            _check_cause(error)
    load_volume(path)


def picture(path: Path) -> None:
    from meddiff.formats import is_deep, load_mask, read_picture
    from meddiff.formats.pictures import header_size

    is_deep(path)
    header_size(path)
    try:
        load_mask(path)
    except InputError as error:
        _check_cause(error)
    read_picture(path, size_hint=16)


def manifest(path: Path) -> None:
    from meddiff.manifest.table import read_manifest

    read_manifest(path)


def recipe(path: Path) -> None:
    from meddiff.command_line import AUGMENT, parse_recipe

    parse_recipe("augment", "", ["--config", str(path), "--preset", "quick"], AUGMENT)


def inspection(path: Path) -> None:
    """What `inspect` prints of a folder or archive; all other commands find there what it finds."""
    from meddiff.pipelines.inspect import run
    from meddiff.recipe.commands import Inspect

    with Path("/dev/null").open("w") as nowhere:
        run(Inspect(str(path)), Console(file=nowhere, width=120))


def spreadsheet(path: Path) -> None:
    """The one spreadsheet that is read: that of PH2, a part of ISIC."""
    from meddiff import build

    build.SOURCES["isic"].rows(path)


def weights(path: Path) -> None:
    from meddiff import load

    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    _each(*(partial(lambda name: load(path, model=name)(pixels), name) for name in ("diffusion", "unet")))


def papers(place: Path) -> None:
    """What is read of a run's folder, paper by paper."""
    _each(*(_of_a_segmentation(place) if (place / RUN / "models").is_dir() else _of_a_study(place)))


def _of_a_segmentation(place: Path) -> Iterator[Callable[[], object]]:
    from meddiff import trained
    from meddiff.audit.changed import changed_files
    from meddiff.jobs import audit, splits
    from meddiff.jobs.apply.ledger import read_lines
    from meddiff.jobs.segment import report
    from meddiff.jobs.segment.predict import MASK
    from meddiff.recipe import SegmentRecipe
    from meddiff.run import Run, RunFolder, recipe_in

    folder = RunFolder(place / RUN)
    run = Run(placed(SEGMENTATION, place), folder)
    yield partial(recipe_in, folder, SegmentRecipe)
    yield from (partial(trained.saved_temperature, folder, name) for name in ("diffusion", "unet"))
    yield partial(trained.saved_likeness, folder)
    yield lambda: run.rows
    yield from (partial(read, run) for read in (changed_files, splits.mask_meaning, report.provenance))
    yield partial(audit.findings_in, folder)
    yield partial(read_lines, place / MASKS / "predictions.csv", MASK)


def _of_a_study(place: Path) -> Iterator[Callable[[], object]]:
    from meddiff.audit.changed import changed_files
    from meddiff.jobs import audit
    from meddiff.jobs.evaluate.study import finished_run, opened_run
    from meddiff.jobs.generate import filter as filtering
    from meddiff.jobs.generate.report import tables_of
    from meddiff.run import Run, RunFolder

    folder = RunFolder(place / RUN)
    run = Run(placed(STUDY, place), folder)
    yield partial(opened_run, str(folder.path), run.console)
    yield partial(finished_run, str(folder.path))
    yield from (partial(read, run) for read in (changed_files, filtering.accepted, tables_of))
    yield from (partial(read, folder) for read in (audit.findings_in, RunFolder.record))


def segmentation(place: Path) -> None:
    """The commands on a segmentation that is finished: `segment evaluate` once more, and `segment predict`."""
    from meddiff.jobs import job
    from meddiff.pipelines.segment import segment_images
    from meddiff.recipe.commands import Predict

    given = Predict(checkpoint=str(place / RUN), input=str(place / "0.png"), output=str(place / MASKS))
    _each(lambda: job.run(placed(SEGMENTATION, place), "report", Console(quiet=True)), lambda: segment_images(given))


def study(place: Path) -> None:
    """The command on a study that is finished."""
    from meddiff.jobs import job

    job.run(placed(STUDY, place), "report", Console(quiet=True))


def _each(*readings: Callable[[], object]) -> None:
    """Do all of them; the last refusal is that of the whole."""
    refusal: InputError | None = None
    for read in readings:
        try:
            read()
        except InputError as error:
            _check_cause(error)
            refusal = error
    if refusal is not None:
        raise refusal


DOORS: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys(("nifti", "dicom", "nrrd", "metaimage"), volume),
    **dict.fromkeys(("png", "jpeg", "tiff", "bmp", "gif"), picture),
    "csv": manifest, "yaml": recipe, "zip": inspection, "folder": inspection, "spreadsheet": spreadsheet,
    "weights": weights, "papers": papers, "segmentation": segmentation, "study": study,
}  # fmt: skip
WRITING = ("segmentation", "study")
"""Formats whose doors write into the folder of the sample, as they should."""


_WEIGHTS = {"dicom": 12, "nifti": 10, "nrrd": 6, "metaimage": 6, "png": 6, "jpeg": 6, "tiff": 6, "csv": 4, "papers": 12,
            "weights": 4, "segmentation": 1, "study": 1}  # fmt: skip
_TURNS = tuple(format_ for format_ in DOORS for _ in range(_WEIGHTS.get(format_, 2)))


@dataclass(frozen=True)
class Outcome:
    """What came of one file."""

    kind: str
    """result or refusal; all else is a finding."""
    detail: str = ""


def format_of(number: int) -> str:
    """Formats take turns, those with many libraries behind them more often."""
    return _TURNS[number % len(_TURNS)]


def hostile_sample(number: int, seed: int, seeds: dict[str, list[Sample]]) -> Sample:
    """The sample of a number: formats take turns, all else is drawn from the seed and the number."""
    draw = np.random.default_rng([seed, number])
    format_ = format_of(number)
    sample = seeds[format_][int(draw.integers(len(seeds[format_])))]
    own = {"dicom": DICOM, **FIELDS, **PAPERS}.get(format_, ()) + HOSTILE.get(format_, ())
    mutations = own if own and draw.random() < (0.8 if format_ in PAPERS else 0.5) else ANY
    names = sorted(sample.changed or sample.files)
    name = sample.opened if sample.opened in sample.files else names[int(draw.integers(len(names)))]
    if len(names) > 1 and draw.random() < 0.3:
        name = names[int(draw.integers(len(names)))]
    mutation = mutations[int(draw.integers(len(mutations)))]
    try:
        return mutation(sample, name, draw)
    except Exception:  # a sample of real life that has not the fields of the seeds
        return ANY[0](sample, name, draw)


def judged(format_: str, path: Path) -> Outcome:
    """Hand a file to the doors of its format."""
    try:
        DOORS[format_](path)
    except InputError as error:
        try:
            _check_cause(error)
        except MemoryError:
            return Outcome("memory", _place(error))
        return Outcome("refusal", str(error))
    except MemoryError as error:
        return Outcome("memory", _place(error))
    except BaseException as error:
        return Outcome(type(error).__name__, _place(error))
    return Outcome("result")


def _check_cause(error: BaseException) -> None:
    """A reader that was refused memory asked for more than a small file is worth: that is a finding, too."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or any(words in str(cause).lower() for words in _NO_MEMORY):
            raise MemoryError from error
        cause = cause.__cause__ or cause.__context__


def _place(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-6000:]
