"""Which public doors a format is handed to, and what came of it."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzzing.dicom_fields import DICOM
from fuzzing.fields import FIELDS
from fuzzing.hostile import HOSTILE
from fuzzing.mutations import ANY
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
    from meddiff.pipelines.command_line import AUGMENT, parse_recipe

    parse_recipe("augment", "", ["--config", str(path), "--preset", "quick"], AUGMENT)


def inspection(path: Path) -> None:
    """What `inspect` prints of a folder or archive, and what `segment predict` would find there."""
    from rich.console import Console

    from meddiff.files.unpack import unpacked
    from meddiff.formats.find import find
    from meddiff.pipelines.inspect import run
    from meddiff.recipe.commands import Inspect

    with Path("/dev/null").open("w") as nowhere:
        run(Inspect(str(path)), Console(file=nowhere, width=120))
    with unpacked(path) as place:
        find(place)


DOORS: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys(("nifti", "dicom", "nrrd", "metaimage"), volume),
    **dict.fromkeys(("png", "jpeg", "tiff", "bmp", "gif"), picture),
    "csv": manifest, "yaml": recipe, "zip": inspection, "folder": inspection,
}  # fmt: skip


_WEIGHTS = {"dicom": 6, "nifti": 5, "nrrd": 3, "metaimage": 3, "png": 3, "jpeg": 3, "tiff": 3, "csv": 2}
_TURNS = tuple(format_ for format_ in DOORS for _ in range(_WEIGHTS.get(format_, 1)))


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
    own = {"dicom": DICOM, **FIELDS}.get(format_, ()) + HOSTILE.get(format_, ())
    mutations = own if own and draw.random() < 0.5 else ANY
    names = sorted(sample.files)
    name = sample.opened or names[int(draw.integers(len(names)))]
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
