"""ManifestRow: one image and all that is known of it. Import it from meddiff.manifest.table."""

import re
from dataclasses import dataclass, fields
from pathlib import Path

SERIES = "#series"
"""A path that ends so means the whole DICOM series of that file, of all in its folder."""
_SEVERAL = re.compile(r"([^{}]*)\{([^{},]+(?:,[^{},]+)+)\}([^{}]*)")


@dataclass(frozen=True)
class ManifestRow:
    """One line of data_manifest.csv. Unknown is None (an empty cell), never 1.0 and never 999."""

    row_id: str
    dataset: str
    patient_id: str | None
    lesion_id: str | None
    split: str | None  # train, val, test
    image_path: str  # relative to root, with / between folders
    mask_path: str | None
    slice_axis: int | None  # 0, 1, 2: the array axis of a volume that slice_index counts along
    slice_index: int | None
    modality: str | None  # dermoscopy, MR, CT ...
    label: str | None
    spacing_mm_0: float | None  # in the order of the array axes; empty for photographs
    spacing_mm_1: float | None
    spacing_mm_2: float | None
    age_years: float | None
    sex: str | None
    site: str | None
    source: str  # real, synthetic, phantom
    seed: int | None
    generator: str | None  # what drew a synthetic image: checkpoint hash, sampler, steps, guidance
    license: str | None
    sha256: str | None  # of the image file, lower case
    root: Path = Path()  # not a column: the folder that the paths are relative to

    @property
    def image_file(self) -> Path:
        """Where the image lies; ``#series`` at its end is part of the name, see `volumes.load_volume`."""
        return self.root / self.image_path

    @property
    def image_files(self) -> tuple[Path, ...]:
        """Where the sequences lie: ``case_{t1,flair}.nii.gz`` names two files on one grid, in this order."""
        return tuple(self.root / path for path in spelled_out(self.image_path))

    @property
    def mask_file(self) -> Path | None:
        """Where the mask lies, None where the row has none."""
        return None if self.mask_path is None else self.root / self.mask_path

    @property
    def group(self) -> str:
        """What a split must not cut: the patient, else the lesion, else the row itself."""
        return self.patient_id or self.lesion_id or self.row_id


def spelled_out(text: str) -> tuple[str, ...]:
    """The paths that one cell names: ``{t1,flair}.nii`` names two."""
    match = _SEVERAL.fullmatch(text)
    if match is None:
        return (text,)
    before, names, after = match.groups()
    return tuple(f"{before}{name}{after}" for name in names.split(","))


def on_disk(path: Path) -> Path:
    """The file or folder that a path names, without ``#series``."""
    return path.with_name(path.name.removesuffix(SERIES))


COLUMNS = tuple(entry.name for entry in fields(ManifestRow) if entry.name != "root")
REQUIRED_COLUMNS = ("row_id", "dataset", "image_path", "source")
