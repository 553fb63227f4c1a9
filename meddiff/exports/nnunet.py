"""One nnU-Net v2 raw data set (Isensee et al. 2021): dataset.json, imagesTr, labelsTr, imagesTs, labelsTs.

Pictures become PNG, volumes a NIfTI file per sequence, masks consecutive whole numbers; what nobody judged is nnU-Net's
label ``ignore``, the last one.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from meddiff.errors import InputError
from meddiff.exports.cases_with_masks import SYNTHETIC, MaskedCase, MaskedCases, gather
from meddiff.exports.new_folder import write_new
from meddiff.formats import save_image
from meddiff.formats.masks import IGNORED
from meddiff.formats.nifti import save_volume
from meddiff.formats.pictures import header
from meddiff.formats.volume import Volume
from meddiff.images.case import known_spacing
from meddiff.jobs.progress import bar
from meddiff.manifest.row import spelled_out
from meddiff.recipe.exports import NnUNet

IGNORE = "ignore"
"""nnU-Net's name of the label of what nobody judged."""
_NAME = re.compile(r"Dataset(\d{3})_\w+")
_GRAY_MODES = ("1", "L", "LA", "I", "F")
COLORS = ("R", "G", "B")


@dataclass(frozen=True)
class Layout:
    """The properties that all cases of a data set share."""

    ending: str
    channels: tuple[str, ...]
    labels: dict[str, int]

    @property
    def is_color(self) -> bool:
        """True where pictures have three channels in one file."""
        return self.ending == ".png" and len(self.channels) == len(COLORS)


def write(settings: NnUNet, console: Console) -> list[str]:
    """Write the data set; returns what is to be said of it.

    Raises:
        InputError: a folder that nnU-Net would not know, pictures beside volumes, cases of different channels.
    """
    name = Path(settings.out).expanduser().name
    if (match := _NAME.fullmatch(name)) is None:
        raise InputError(f"--out ends in {name!r}, and nnU-Net knows a data set by a name such as Dataset501_Lesions: "
                         "Dataset, three digits, an underscore and a word")  # fmt: skip
    gathered = gather(settings.cases, settings.mask_values, settings.data_root)
    layout = _layout(gathered, settings.channel_names)
    shown = bar(console, "writing", unit="cases", stays=False)
    cases = shown(gathered.cases, len(gathered.cases))
    folder = write_new(settings.out, lambda part: _fill(part, gathered, layout, cases))
    trained = [case for case in gathered.cases if not case.is_test]
    drawn = sum(case.is_synthetic for case in trained)
    left_out = f"; {gathered.without_mask} images without a mask were left out" if gathered.without_mask else ""
    return [
        f"{len(trained)} cases for training, {drawn} of them synthetic, and {len(gathered.cases) - len(trained)} "
        f"for testing, as {', '.join(layout.channels)} with the labels {', '.join(layout.labels)}{left_out}: {folder}",
        f"next: nnUNet_raw={folder.resolve().parent} nnUNetv2_plan_and_preprocess -d {match[1]} "
        "--verify_dataset_integrity",
    ]  # fmt: skip


def _layout(gathered: MaskedCases, channel_names: Sequence[str]) -> Layout:
    kinds = {case.is_volume: case for case in gathered.cases}
    if len(kinds) > 1:
        raise InputError(
            f"{kinds[True].row.image_file} is a volume and {kinds[False].row.image_file} a picture, and nnU-Net takes "
            "files of one kind: export them into two data sets"
        )
    names = _channels(gathered.cases)
    if channel_names and len(channel_names) != len(names):
        raise InputError(f"--channel_names names {len(channel_names)} channels, and these images have {len(names)} "
                         f"({', '.join(names)}): name each")  # fmt: skip
    labels = {name: index for index, name in enumerate(gathered.class_names)}
    labels |= {IGNORE: len(labels)} if gathered.ignores else {}
    return Layout(".nii.gz" if True in kinds else ".png", tuple(channel_names or names), labels)


def _channels(cases: Sequence[MaskedCase]) -> tuple[str, ...]:
    """Name the channels that all cases have."""
    row = cases[0].row
    if not cases[0].is_volume:
        color = any(header(case.row.image_file)[1].partition(";")[0] not in _GRAY_MODES for case in cases)
        return COLORS if color else (row.modality or "gray",)
    if len(pieces := spelled_out(row.image_path)) > 1:
        before = len(row.image_path.partition("{")[0])
        return tuple(piece[before : len(piece) - len(row.image_path.rpartition("}")[2])] for piece in pieces)
    count = _sequences(cases[0].volume()).shape[-1]
    return (row.modality or "image",) if count == 1 else tuple(f"sequence {number}" for number in range(count))


def _sequences(volume: Volume) -> np.ndarray:
    """Return the voxels as [I, J, K, N], colors as three sequences."""
    return volume.array if volume.array.ndim == 4 else volume.array[..., None]


def _fill(folder: Path, gathered: MaskedCases, layout: Layout, cases: Iterator[MaskedCase]) -> None:
    for case in cases:
        part = "Ts" if case.is_test else "Tr"
        image = case.volume() if case.is_volume else case.picture()
        write_image = _write_volume if isinstance(image, Volume) else _write_picture
        write_image(folder / f"images{part}", case, image, layout)  # pyright: ignore[reportArgumentType]
        if case.has_mask:
            _write_mask(folder / f"labels{part}" / f"{case.name}{layout.ending}", case, image, layout)
    trained = [case for case in gathered.cases if not case.is_test]
    about = {
        "channel_names": {str(number): name for number, name in enumerate(layout.channels)},
        "labels": layout.labels,
        "numTraining": len(trained),
        "file_ending": layout.ending,
        "licence": ", ".join(sorted({case.row.license for case in gathered.cases if case.row.license})) or "unknown",
        "description": f"written by meddiff; {sum(case.is_synthetic for case in trained)} training cases "
                       f"are synthetic, their names begin with {SYNTHETIC}_",
    }  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(about, indent=2), encoding="utf-8")
    (folder / "cases.csv").write_text(_table(gathered.cases), encoding="utf-8")
    if any(case.row.split == "val" for case in trained):
        splits = {"train": [], "val": []}
        for case in trained:
            splits["val" if case.row.split == "val" and not case.is_synthetic else "train"].append(case.name)
        (folder / "splits_final.json").write_text(json.dumps([splits], indent=2), encoding="utf-8")


def _write_picture(folder: Path, case: MaskedCase, pixels: np.ndarray, layout: Layout) -> None:
    if layout.is_color and pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], len(COLORS), axis=2)
    if pixels.dtype not in (np.uint8, *([] if layout.is_color else [np.uint16])):
        kind = "a PNG of colors" if layout.is_color else "a PNG"
        raise InputError(f"{case.row.image_file} holds {pixels.dtype}, which {kind} cannot: give volumes as NIfTI, or "
                         "pictures of 8 bits")  # fmt: skip
    save_image(pixels, folder / f"{case.name}_0000.png")


def _write_volume(folder: Path, case: MaskedCase, volume: Volume, layout: Layout) -> None:
    sequences = _sequences(volume)
    if sequences.shape[-1] != len(layout.channels):
        raise InputError(f"{case.row.image_file} holds {sequences.shape[-1]} sequences, and the first case "
                         f"{len(layout.channels)}: all cases of a data set have the same")  # fmt: skip
    for number in range(sequences.shape[-1]):
        voxels = sequences[..., number]
        voxels = voxels if voxels.dtype.name in ("uint8", "int16", "uint16", "int32") else voxels.astype(np.float32)
        _save(voxels, folder / f"{case.name}_{number:04d}{layout.ending}", volume)


def _save(voxels: np.ndarray, path: Path, like: Volume) -> None:
    """Write voxels where those of a volume lie."""
    save_volume(voxels, path, affine=like.affine, spacing_mm=known_spacing(like), forms=like.forms)


def _write_mask(path: Path, case: MaskedCase, image: Volume | np.ndarray, layout: Layout) -> None:
    classes = case.classes(image)
    classes = np.where(classes == IGNORED, layout.labels.get(IGNORE, 0), classes).astype(np.uint8)
    if isinstance(image, Volume):
        _save(classes, path, image)
    else:
        save_image(classes, path)


def _table(cases: Sequence[MaskedCase]) -> str:
    """Say of each case what it was made of."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("case", "row_id", "dataset", "patient", "split", "source", "seed", "generator"))
    for row, name in ((case.row, case.name) for case in cases):
        patient = row.patient_id or row.lesion_id or ""
        table.writerow((name, row.row_id, row.dataset, patient, row.split or "", row.source,
                        "" if row.seed is None else row.seed, row.generator or ""))  # fmt: skip
    return text.getvalue()
