"""Settings of the commands beside training and studies, each with its default, its range and one sentence.

Nothing here imports torch: these settings are explained and refused before anything heavy is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from meddiff.errors import InputError
from meddiff.recipe.parts import Amount, Count, Range, Resamples


@dataclass(frozen=True)
class Listing:
    """The images of a folder as a manifest to edit."""

    source: str
    """Which data set of meddiff.sources."""
    root: str
    """Folder with the images; searched with its subfolders."""
    out: str = "manifest.csv"
    """CSV to write; one that is there is left as it is."""


@dataclass(frozen=True)
class Download:
    """Settings of a download: the data, and the folder."""

    dataset: str = "isic"
    """Which data set of meddiff.sources."""
    archive: str = ""
    """Which of its archives; empty lists them."""
    data_root: str = "data"
    """Folder to unpack into; the archives of one name get a folder of that name in it."""
    delete_archives: bool = False
    """Delete each zip file once it is unpacked."""


@dataclass(frozen=True)
class Inspect:
    """Settings of a look at files: volumes as they are, or with audit what spoils a study."""

    POSITIONAL: ClassVar[str] = "path"
    """The setting that needs no flag before it."""

    path: str
    """A file, a folder with all below it, or a zip archive; of audit also a manifest (.csv)."""
    montage: str = ""
    """A PNG to write with the three middle planes of each volume; empty for none."""
    audit: bool = False
    """Look for what spoils a study, in a manifest (.csv) or a folder of images and masks."""
    dataset: str = ""
    """Of audit: reads the folder as this data set; empty pairs plain files by their names."""
    data_root: str = ""
    """Of audit: the folder that a manifest's paths are relative to; empty is its own."""
    out: str = ""
    """Of audit: a CSV to write, one line per finding and file; empty for none."""
    mask_values: str = ""
    """Of audit: what the values of the masks mean, as 0=background,1=lesion,255=ignore; empty decides it from all."""
    mask_overlap: Literal["stop", "later", "ignore"] = "stop"
    """Of audit: what two classes of a mask share: stop says so, later gives it to the later one, ignore to none."""
    mask_missing: Literal["stop", "empty"] = "stop"
    """Of audit: a class that a mask does not name: stop says so, empty takes it to be absent there."""

    def refuse_contradictions(self) -> None:
        """Refuse settings of the one way of looking in the other.

        Raises:
            InputError: which, and what to do.
        """
        if self.audit and self.montage:
            raise InputError("--montage draws volumes: leave it out of an audit")
        if not self.audit and (self.dataset or self.data_root or self.out):
            raise InputError("--dataset, --data-root and --out belong to --audit")
        if not self.audit and self.mask_values:
            raise InputError("--mask-values belongs to --audit, which looks at masks")
        if not self.audit and (self.mask_overlap, self.mask_missing) != ("stop", "stop"):
            raise InputError("--mask-overlap and --mask-missing belong to --audit, which looks at masks")


@dataclass(frozen=True)
class Doctor:
    """Settings of a look at the machine: there are none."""


@dataclass(frozen=True)
class Runs:
    """Settings of a list of runs: where they lie."""

    POSITIONAL: ClassVar[str] = "path"
    """The setting that needs no flag before it."""

    path: str = "runs"
    """Folder that is searched with its subfolders."""


@dataclass(frozen=True)
class Cache:
    """Settings of the upkeep of the cache of prepared images: what goes."""

    folder: str = ""
    """The cache; empty is the user's (XDG_CACHE_HOME/meddiff), which runs without --data.cache use."""
    older_than: Annotated[float | None, Range(0, 1e5)] = None
    """Delete what nobody has used for so many days."""
    larger_than: Annotated[float | None, Range(0, 1e6)] = None
    """Delete the oldest until no more than so many GiB are left."""


@dataclass(frozen=True)
class Serve:
    """Settings of a page that segments or draws: the run."""

    POSITIONAL: ClassVar[str] = "run"
    """The setting that needs no flag before it."""

    run: str = "dermoscopy-masks"
    """Run folder, or weights by name (see meddiff.hub.place)."""
    model: str = "diffusion"
    """Which network of a run that segments: diffusion, or one of its baselines."""
    port: Annotated[int, Range(0, 65535)] = 0
    """Port of this machine; 0 takes a free one."""
    open: bool = False
    """Open the page in the browser."""


@dataclass(frozen=True)
class Watch:
    """Settings of a page that shows a run while it goes on."""

    POSITIONAL: ClassVar[str] = "run"
    """The setting that needs no flag before it."""

    run: str
    """Run folder, which need not be there yet."""
    port: Annotated[int, Range(0, 65535)] = 0
    """Port of this machine; 0 takes a free one."""
    open: bool = False
    """Open the page in the browser."""


@dataclass(frozen=True)
class OtherImages:
    """The run that is tested, and the images."""

    checkpoint: str
    """Run folder of `segment evaluate` or `segment train`."""
    out: str
    """Folder for the results."""
    dataset: str = ""
    """Data set of meddiff.sources; empty takes the run's."""
    data_root: str = ""
    """Folder with the data set as its publisher distributes it."""
    manifest: str = ""
    """A data_manifest.csv of your own, used instead of data_root."""
    mask_values: str = ""
    """What the values of these masks mean, as 0=background,255=lesion; empty takes the run's words where they fit."""


@dataclass(frozen=True)
class Publish:
    """The run, and the folder that others load its weights from."""

    run: str
    """Run folder of `augment`, or of `segment evaluate`."""
    out: str
    """Folder to make: what `meddiff.load` and --checkpoint take, from a disk, a web server or the Hugging Face hub."""
    model: str = "diffusion"
    """Which network of a run that segments: diffusion, or one of its baselines."""
    license: str = "unknown"
    """License of the weights as the Hugging Face hub abbreviates it: cc0-1.0, cc-by-4.0, apache-2.0, other ..."""
    about: str = ""
    """What the model does, in a few words; empty names its classes."""
    card: str = ""
    """A model card of your own, in Markdown; empty takes that of the run's report."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Settings of every command that makes something of each image of a user: the images, and the run."""

    input: str
    """A picture, a volume (NIfTI, NRRD, MetaImage), a DICOM series, or a folder or zip archive of them."""
    output: str
    """Folder for what is made, and a table of it."""
    checkpoint: str
    """Run folder, or weights by name (see meddiff.hub.place)."""
    series: str | None = None
    """UID, number or description of the DICOM series that is meant; null takes all."""
    on_bad_file: str = "skip"
    """What to do with a file of which nothing can be made: skip it, with the reason in the table, or stop."""


@dataclass(frozen=True, kw_only=True)
class Predict(Inputs):
    """Settings of a segmentation: the images, the run, and what is kept."""

    checkpoint: str = ""
    """Run folder of `segment train`, or weights by name (see meddiff.hub.place); empty takes dermoscopy-masks, which
    comes with the package and outlines skin lesions on dermoscopic photographs."""
    model: str = "diffusion"
    """Which network of the run: diffusion, or one of its baselines."""
    members: int | None = None
    """Masks drawn per image; null as in training."""
    steps: int | None = None
    """Sampler steps per member; null as in training."""
    fusion: str | None = None
    """mean, majority or staple; null as in training."""
    axis: int | None = None
    """Array axis that volumes are cut along for a network of pictures; null takes the one with the widest spacing."""
    save_probabilities: bool = False
    """Also write the probability of every class."""
    save_maps: bool = False
    """Also write the standard deviation of the members and the entropy of the answer."""
    save_members: bool = False
    """Also write the mask of every member."""
    save_overlays: bool = True
    """Also write each mask outlined on its image, and all of them on one sheet, overview.png."""
    dicom_seg: bool = False
    """Also write a DICOM series' mask as DICOM Segmentation, with the patient's name and study as in the series."""
    dicom_parametric_map: bool = False
    """Also write where a DICOM series' mask is unsure (its entropy) as DICOM Parametric Map."""
    segment_codes: tuple[str, ...] | None = None
    """What the segments of dicom_seg are, "SCT:108369006:Neoplasm" for each class from 1 on; null as in training."""
    allow_unlike: bool = False
    """Also write DICOM Segmentations and maps of images that are unlike all that the network was trained on."""


@dataclass(frozen=True, kw_only=True)
class Translation(Inputs):
    """Settings of a translation: the images, the run, and what is kept."""

    model: str = "diffusion"
    """Which network of the run: diffusion, or regression."""
    members: Annotated[int | None, Range(1, 10**4)] = None
    """Images drawn of each known one, whose mean is written; null as in training."""
    steps: Annotated[int | None, Range(1, 10**4)] = None
    """Sampler steps per member; null as in training."""
    single: bool = False
    """Write one member instead of the mean of all: sharper, and with a larger error."""
    guidance: Annotated[float | None, Range(0, 100)] = None
    """Of a run that draws images by masks: how far beyond what the mask alone says; null as in training."""
    holes: str = ""
    """Of a run that fills holes: a picture that is white in the hole, or a folder of such named like the images."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The seed of an evaluation."""

    seed: Amount = 0
    """The one seed of all that is drawn: resamples, splits, pairs, the gallery."""


@dataclass(frozen=True, kw_only=True)
class ReaderStudy(Evaluation):
    """A blinded study: people say of each image whether it is real; each place is a folder, or a manifest as
    CSV[:SPLIT]."""

    real: str
    """Real images, best not those trained on."""
    synthetic: str
    """Images that a model has drawn."""
    out: str = "reader_study"
    """Folder for the page, and the key that readers must not see."""
    images: Annotated[int, Range(4, 2000)] = 60
    """Images shown, half of them synthetic, as many of each class of both kinds."""
    size: Annotated[int, Range(0, 2048)] = 0
    """Pixels per side of all images; 0 takes the smallest side of any, at most 256."""
    labels: str = ""
    """Regular expression for what of a name is its class; empty takes a manifest's label."""
    show_labels: bool = False
    """Show the class beside each image."""
    title: str = "Real or synthetic?"
    """Heading of the page."""


@dataclass(frozen=True, kw_only=True)
class ReaderScores(Evaluation):
    """The answers of the readers of a study."""

    POSITIONAL: ClassVar[str] = "answers"
    """The setting that needs no flag before it."""

    answers: tuple[str, ...]
    """CSV files that the page has saved, one or more."""
    key: str
    """key.csv, which lies beside the page."""
    out: str = ""
    """Folder for readers.csv; empty is that of the key."""
    resamples: Resamples = 2000
    """Bootstrap resamples over patients and readers."""
    confidence_level: Annotated[float, Range(0.5, 0.999)] = 0.95
    """Coverage of the intervals."""


@dataclass(frozen=True, kw_only=True)
class EvaluateImages(Evaluation):
    """Synthetic images against real ones; each place is a folder, or a manifest as CSV[:SPLIT]."""

    out: str = "evaluation/images"
    """Folder for the results."""
    real: str
    """Real images, best not those trained on."""
    synthetic: str
    """Images that a model has drawn."""
    train: str = ""
    """Images that it was trained on: copies are counted."""
    features: str = "untrained"
    """untrained (needs no file), inception, dinov2 or radimagenet, which see slices of volumes in three planes; of
    volumes also medicalnet, or encoder3d: a TorchScript file."""
    weights: str = ""
    """File of the extractor's weights; inception, dinov2 and medicalnet are downloaded without."""
    trust_code: bool = False
    """Run the TorchScript file of encoder3d, a program that can read and write every file that you can."""
    lpips: str = ""
    """Folder of alexnet-owt-7be5be79.pth and alex.pth, or download: adds LPIPS of pairs."""
    groups: str = ""
    """Regular expression: what of a real image's name is its patient; else as the manifest says."""
    labels: str = ""
    """Regular expression: what of a name is its label, to judge labels too; else as the manifest says."""
    size: int = 0
    """Side that all images are brought to; else the shortest of all, at most 256; 64 voxels for volumes."""
    fit: Literal["", "crop", "pad", "stretch"] = ""
    """How oblong images become square; empty crops pictures and pads volumes."""
    splits: int = 10
    """Splits of the real images in halves."""
    copy_rate: float = 0.05
    """Share of held-out real images that the threshold takes for copies."""
    batch_size: Count = 32
    """Images at a time in the extractor."""
    on_bad_file: Literal["stop", "skip"] = "stop"
    """What to do with an image that cannot be read: stop, or leave it out and say so."""
    cache: str = ""
    """Folder of pixels and features; empty means the user's cache folder."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            InputError: what was got, and what is allowed.
        """
        if self.size and self.size < 16:
            raise InputError(f"got --size {self.size}: give at least 16 pixels, or leave it out")
        if self.splits < 2:
            raise InputError(f"got --splits {self.splits}: at least 2 are needed for a spread")
        if not 0 < self.copy_rate < 1:
            raise InputError(f"got --copy-rate {self.copy_rate}: give a share between 0 and 1, such as 0.05")


@dataclass(frozen=True, kw_only=True)
class EvaluateMasks(Evaluation):
    """Folders of masks, matched by name."""

    out: str = "evaluation/masks"
    """Folder for the results."""
    truth: str
    """The masks that are taken as right."""
    prediction: str
    """The masks to score."""
    against: str = ""
    """Those of another model, as its baseline."""
    classes: str = ""
    """What the values mean, as 1=lesion,2=core, also colors (#ff0000=lesion), ranges (128-255=lesion) and what is not
    judged (255=ignore); empty takes every value of the truths as a class."""
    spacing_mm: str = ""
    """Distance of pixels along the array's axes, as A,B[,C], for files that do not tell it."""
    tolerance_mm: float = 2.0
    """Tolerance of the normalized surface distance."""
    tolerance_px: float = 2.0
    """The same where no spacing is known."""
    on_missing: Literal["fail", "skip"] = "fail"
    """A truth without a prediction scores the worst (fail), or is left out."""
    patient: str = ""
    """Regular expression: what of a case's name is its patient; empty takes each case as one."""
    ignore_geometry: bool = False
    """Do not compare where volumes lie."""
    mask_overlap: Literal["stop", "later", "ignore"] = "stop"
    """Voxels that two classes share in a SEG or RTSTRUCT: refused, the later class's, or not judged."""
    mask_missing: Literal["stop", "empty"] = "stop"
    """A class that a truth does not name and others do: refused, or nothing of it was there."""
    images: str = ""
    """Folder of pictures, volumes or DICOM series for the gallery, on whose voxels SEG and RTSTRUCT are read."""
    raters: str = ""
    """Folders with masks of other raters, with commas between: adds the energy distance of the members to them."""
    names: str = ""
    """What to call the models, as A[,B]; empty takes the names of their folders."""
    resamples: Resamples = 2000
    """Bootstrap resamples."""


@dataclass(frozen=True)
class EvaluateAugmentation:
    """The study of a run anew, or beside that of another."""

    run: str
    """A run folder of augment."""
    against: str = ""
    """Another run on the same test images."""
    tables_only: bool = False
    """Leave the report as it is: for a run whose images lie elsewhere."""


@dataclass(frozen=True)
class Leaderboard:
    """Several runs in one table."""

    POSITIONAL: ClassVar[str] = "runs"
    """The setting that needs no flag before it."""

    runs: tuple[str, ...]
    """Run folders of augment."""
    out: str = "leaderboard.csv"
    """CSV to write."""


@dataclass(frozen=True)
class Published:
    """A Dice and an IoU of a paper."""

    dice: float
    """Mean Dice as a share."""
    iou: float
    """Mean IoU as a share."""
    decimals: Annotated[int | None, Range(0, 15)] = None
    """Decimals to which both were rounded; null takes them as typed."""
