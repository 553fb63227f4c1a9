"""Settings of `export`, one class per format: what is taken, and the folder that is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from meddiff.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Export:
    """Settings of every format."""

    out: str
    """Folder to make; one that is there is left as it is."""


@dataclass(frozen=True, kw_only=True)
class NnUNet(Export):
    """Real and synthetic images with their masks as one nnU-Net v2 raw data set.

        python -m meddiff.pipelines.export nnunet runs/segment-isic-quick --out nnUNet_raw/Dataset501_Lesions
        python -m meddiff.pipelines.export nnunet real/manifest.csv drawn/manifest.csv --out Dataset502_Both

    Training and validation images go to imagesTr and labelsTr, those of the test split to imagesTs and labelsTs;
    synthetic ones are trained on alone, and their names begin with synthetic_. Slices of a volume become the volume
    again. splits_final.json, for nnU-Net's folder of preprocessed data, keeps the split of patients; cases.csv says
    what each case was made of.
    """

    POSITIONAL: ClassVar[str] = "cases"
    """The setting that needs no flag before it."""

    cases: tuple[str, ...]
    """Run folders of `segment` or `augment`, or manifests; their masks name the same classes."""
    channel_names: tuple[str, ...] = ()
    """What the channels are, as nnU-Net normalizes by it (CT, else by mean and deviation); empty takes the modality,
    the names of the sequences, or R, G, B."""
    data_root: str = ""
    """Folder that the paths of manifests are relative to; empty is the folder of each."""
    mask_values: str = ""
    """What the values of masks of a manifest mean, as 0=background,1=lesion,255=ignore; empty decides it from all."""

    def refuse_contradictions(self) -> None:
        """Refuse a list without cases.

        Raises:
            InputError: name a run folder.
        """
        if not self.cases:
            raise InputError("export nnunet: name a run folder or a manifest")


@dataclass(frozen=True, kw_only=True)
class Dicom(Export):
    """The synthetic images of a run as DICOM Secondary Capture.

        python -m meddiff.pipelines.export dicom runs/isic-quick --out drawn

    Each file says in every place that it is synthetic, bears no patient's name or UID, and holds generator, seed and
    label in a private block. A volume becomes a series of its axial slices, from the feet up.
    """

    POSITIONAL: ClassVar[str] = "run"
    """The setting that needs no flag before it."""

    run: str
    """Run folder of `augment` or `synthesize`, or a manifest of synthetic images."""


FORMATS: dict[str, type[Export]] = {"nnunet": NnUNet, "dicom": Dicom}
"""All formats, each with its settings; `meddiff.exports.NAME` writes it."""
