"""The built-in phantom set: medical-looking images drawn by code from a seed, with exact masks, showing no patient.

It stands in where no real images are found, so that the whole path can be seen, and it is where tests know the truth.
Like real sets it is long-tailed, has several images per lesion and several lesions per patient (so that a split by
image leaks), and its classes overlap.

A row is all that a picture needs: the skin or the head is drawn from ``patient_id``, the lesion from ``lesion_id``,
the view from ``seed``. ``rows`` is stable under its count: the first hundred of a thousand rows are the hundred rows
that one gets alone, so a file name never means two pictures.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from meddiff.data.manifest import ManifestRow
from meddiff.data.writing import write_atomically
from meddiff.errors import InputError
from meddiff.seeds import child_seed
from meddiff.sources.phantom_brain import draw_brain
from meddiff.sources.phantom_dermoscopy import draw_dermoscopy
from meddiff.sources.source import Source

GENERATOR = "meddiff.sources.phantom/1"
STANDARD_COUNTS = {"dermoscopy": 800, "brain_mri": 200}  # rows with seed 0 that data_manifest.csv holds
GOLDEN = (5**0.5 - 1) / 2  # its multiples fill 0..1 evenly, so that shares hold in every stretch of the list
VIEWS = (2, 1, 3, 1, 2, 4, 1, 2, 3, 1)  # images per lesion, in turn for the lesions of a class


@dataclass(frozen=True)
class Look:
    """One kind of phantom: what is drawn, how often, on whom."""

    modality: str
    draw: Callable[..., tuple[np.ndarray, np.ndarray]]
    shares: dict[str, float]  # class -> share of the lesions, most frequent first
    age_years: dict[str, float]  # class -> mean age
    sites: dict[str, tuple[str, ...]]
    without_lesion: tuple[str, ...] = ()


_TRUNK = ("back", "abdomen", "chest", "lower extremity", "upper extremity")
_FACE = ("face", "face", "neck", "scalp", "back")
LOOKS = {
    "dermoscopy": Look(
        "dermoscopy", draw_dermoscopy,
        {"nv": 0.55, "bkl": 0.18, "bcc": 0.12, "mel": 0.09, "vasc": 0.06},
        {"nv": 42, "bkl": 63, "bcc": 67, "mel": 60, "vasc": 50},
        {"nv": _TRUNK, "mel": _TRUNK, "bkl": (*_TRUNK, *_FACE), "bcc": _FACE, "vasc": (*_TRUNK, "face")},
    ),
    "brain_mri": Look(
        "MR", draw_brain,
        {"notumor": 0.42, "glioma": 0.28, "meningioma": 0.19, "pituitary": 0.11},
        {"notumor": 48, "glioma": 56, "meningioma": 60, "pituitary": 47},
        dict.fromkeys(("notumor", "glioma", "meningioma", "pituitary"), ("brain",)),
        ("notumor",),
    ),
}  # fmt: skip


def rows(look: str, *, seed: int, count: int) -> list[ManifestRow]:
    """The first ``count`` rows of the phantom set ``look`` ("dermoscopy", "brain_mri") with this seed; draws nothing.

    Raises:
        InputError: an unknown look, or a count below 1.
    """
    if look not in LOOKS:
        raise InputError(f"there is no phantom look {look!r}; the looks are {', '.join(LOOKS)}")
    if count < 1:
        raise InputError(f"{count} phantoms were asked for; ask for at least 1")
    return list(islice(_endless(look, seed), count))


def _endless(look: str, seed: int) -> Iterator[ManifestRow]:
    kind, name = LOOKS[look], f"{look}-{seed}"
    classes, ceiling = list(kind.shares), np.cumsum(list(kind.shares.values()))
    patient = lesion = image = 0
    lesions = dict.fromkeys(classes, 0)
    while True:
        patient += 1
        rng = np.random.default_rng(child_seed(seed, "phantom", look, patient))
        age = sex = None
        for number in range(1, 1 + rng.choice([1, 2, 3], p=[0.6, 0.28, 0.12])):
            lesion += 1
            # from 0.35 on, the first nine lesions are of all classes, so that a short list has them too
            label = classes[int(np.searchsorted(ceiling[:-1], (lesion * GOLDEN + 0.35) % 1, side="right"))]
            lesions[label] += 1
            age = age or float(np.clip(5 * round(rng.normal(kind.age_years[label], 14) / 5), 15, 90))
            sex = sex or str(rng.choice(["female", "male"]))
            site = str(rng.choice(kind.sites[label]))
            patient_id = f"{name}-P{patient:04d}"
            lesion_id = None if label in kind.without_lesion else f"{patient_id}-L{number}"
            for _ in range(VIEWS[lesions[label] % len(VIEWS)]):
                image += 1
                row_id = f"{name}-{image:05d}"
                yield ManifestRow(
                    row_id=row_id, dataset="phantom", patient_id=patient_id, lesion_id=lesion_id, split=None,
                    image_path=f"phantom/{look}/{row_id}.png", mask_path=f"phantom/{look}/{row_id}_mask.png",
                    slice_axis=None, slice_index=None, modality=kind.modality, label=label,
                    spacing_mm_0=None, spacing_mm_1=None, spacing_mm_2=None, age_years=age, sex=sex, site=site,
                    source="phantom", seed=child_seed(seed, "phantom", look, "view", image) % 2**31,
                    generator=GENERATOR, license="CC0-1.0", sha256=None,
                )  # fmt: skip


def draw(row: ManifestRow, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """The picture of a row, from the row alone: the same row and size give the same bytes.

    Returns:
        image [size, size, C] uint8 (C = 3 for dermoscopy, 1 for MR) and mask [size, size] uint8, 1 in the lesion.

    Raises:
        InputError: a row that ``rows`` did not make, or a size under 8 pixels.
    """
    if size < 8:
        raise InputError(f"a phantom of {size} pixels was asked for; the smallest is 8")
    look = next((look for look in LOOKS.values() if look.modality == row.modality and row.label in look.shares), None)
    if look is None or row.source != "phantom" or row.generator != GENERATOR or row.seed is None:
        raise InputError(
            f"row {row.row_id!r} (source {row.source}, generator {row.generator}, label {row.label}) is not one that "
            f"{GENERATOR} draws. Take rows from meddiff.sources.phantom.rows."
        )
    return look.draw(
        label=row.label,
        patient=child_seed(0, "phantom", row.patient_id or row.row_id),
        lesion=child_seed(0, "phantom", row.lesion_id or row.group),
        view=row.seed,
        size=size,
    )


def write(
    rows: Sequence[ManifestRow],
    folder: str | Path,
    *,
    size: int = 128,
    workers: int = 2,
    progress: Callable | None = None,
) -> list[ManifestRow]:
    """Draw the images and masks that are not yet in ``folder`` and return the rows with it as their root.

    Args:
        rows: phantom rows; their paths are kept.
        folder: where the paths start; made if need be.
        size: side in pixels.
        workers: threads that draw.
        progress: called as progress(iterable, total) for a bar around the work; None draws without one.

    Raises:
        InputError: a file in the way that is another picture or the same in another size; a full or read-only disk.
    """
    rows = [replace(row, root=Path(folder)) for row in rows]

    def one(row: ManifestRow) -> ManifestRow:
        files = [file for file in (row.image_file, row.mask_file) if file is not None]
        missing = [file for file in files if not _stands(file, row, size)]
        if missing:
            for file, array in zip(files, draw(row, size), strict=False):
                write_atomically(file, lambda target, array=array: target.write(_png(array, row)))
        return row

    with ThreadPoolExecutor(workers) as pool:
        done: Iterable[ManifestRow] = pool.map(one, rows)
        return list(progress(done, len(rows)) if progress else done)


def stamp(array: np.ndarray, text: str = "phantom") -> np.ndarray:
    """A copy of an image [H, W] or [H, W, C] uint8 with a small tag in its lower left corner, for reports."""
    image = Image.fromarray(array.squeeze() if array.shape[-1] == 1 else array)
    pen = ImageDraw.Draw(image)
    left, top, right, bottom = pen.textbbox((0, 0), text)
    high, wide = bottom - top + 4, right - left + 6
    pen.rectangle((0, image.height - high, wide, image.height), fill=0 if image.mode == "L" else (0, 0, 0))
    pen.text((3 - left, image.height - high + 2 - top), text, fill=255 if image.mode == "L" else (255, 255, 255))
    return np.asarray(image).reshape(array.shape)


def _identity(row: ManifestRow) -> str:
    return f"{row.generator} {row.label} {row.patient_id} {row.lesion_id} {row.seed}"


def _png(array: np.ndarray, row: ManifestRow) -> bytes:
    """PNG bytes; the file itself says that it is a phantom, and which."""
    notes = PngInfo()
    notes.add_text("Comment", "phantom: drawn by code, shows no patient")
    notes.add_text("Source", _identity(row))
    target = BytesIO()
    # masks have two values in the file too, 0 and 255, so that a person can look at them
    image = Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array if array.ndim == 3 else array * 255)
    image.save(target, "PNG", pnginfo=notes, compress_level=4)
    return target.getvalue()


def _stands(file: Path, row: ManifestRow, size: int) -> bool:
    """Whether ``file`` is there; refuse one that is another picture than that of ``row`` at ``size``."""
    try:
        with Image.open(file) as image:
            found, got = image.info.get("Source"), image.size
    except FileNotFoundError:
        return False
    except UnidentifiedImageError:
        found, got = "not an image", (0, 0)
    if found != _identity(row) or got != (size, size):
        raise InputError(
            f"{file} is in the way: it holds {found or 'an image that is no phantom'} at {got[0]} x {got[1]} pixels, "
            f"wanted is {_identity(row)} at {size} x {size}. Name another folder, or delete this one's phantoms."
        )
    return True


def _rows_in(folder: Path) -> list[ManifestRow]:
    """The rows of the phantoms that ``write`` has put into ``folder``."""
    names: dict[tuple[str, int], set[str]] = {}
    for file in Path(folder).glob("phantom/*/*.png"):
        look, _, rest = file.stem.partition("-")
        seed, _, number = rest.partition("-")
        if look in LOOKS and seed.isdecimal() and number.isdecimal():
            names.setdefault((look, int(seed)), set()).add(file.stem)
    if not names:
        raise InputError(
            f"{folder}: there are no phantoms (looked for phantom/<look>/<look>-<seed>-<number>.png with look "
            f"{' or '.join(LOOKS)}). Draw some with meddiff.sources.phantom.write."
        )
    found = []
    for (look, seed), stems in sorted(names.items()):
        last = max(int(stem.rpartition("-")[2]) for stem in stems)
        found += [replace(row, root=Path(folder)) for row in rows(look, seed=seed, count=last) if row.row_id in stems]
    return found


PHANTOM = Source(
    name="phantom",
    title="phantom images (drawn by code, showing no patient)",
    modality="dermoscopy",
    channels=3,
    rows=_rows_in,
    how_to_get="Phantoms need no images: meddiff draws them from a seed (meddiff.sources.phantom). A folder that it "
    "has drawn into is recognized by phantom/dermoscopy/ or phantom/brain_mri/.",
    phantom="dermoscopy",
)
