"""Brain MRI slices in class folders: the four-class set (glioma, meningioma, pituitary, notumor) and yes/no.

The Kaggle sets are read as distributed: ``Training/<class>`` and ``Testing/<class>``, or ``yes`` and ``no``. Their
Training/Testing division is NOT used: the sets are merged from others, and exact copies of 189 pictures stand on both
sides of it. Images are split anew, by the groups of a groups.csv (see ``meddiff.sources.folders.class_folders``).
"""

from pathlib import Path, PurePosixPath

from meddiff.errors import InputError
from meddiff.manifest.row import ManifestRow
from meddiff.sources.folders.class_folders import Place, class_rows
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.phantom import BRAIN_MRI
from meddiff.sources.source import Source

# folder name in lower case, with _ for blanks and dashes -> label; copies of the set differ in the first four
CLASSES = {
    "glioma": "glioma", "glioma_tumor": "glioma",
    "meningioma": "meningioma", "meningioma_tumor": "meningioma",
    "pituitary": "pituitary", "pituitary_tumor": "pituitary",
    "notumor": "notumor", "no_tumor": "notumor",
    "yes": "yes", "no": "no",
    "brain_tumor": "tumor", "tumor": "tumor", "healthy": "healthy", "normal": "normal",
}  # fmt: skip

HOW_TO_GET = (
    "Brain MRI slices in class folders are offered on Kaggle: masoudnickparvar/brain-tumor-mri-dataset (four classes) "
    "and navoneel/brain-mri-images-for-brain-tumor-detection (yes, no); both need an account, so there is no download "
    "command. Recognized below --data-root: folders named " + ", ".join(CLASSES) + " in any case, at any depth. "
    "Other class names: --dataset image_folder."
)


def brain_tumor_rows(root: Path) -> list[ManifestRow]:
    """Return one row per slice, with the folder's class.

    Raises:
        InputError: no folder has a known class name, or groups.csv is wrong.
    """
    rows = class_rows(root, list_folders(root), lambda path: _place(path, root), dataset="brain_tumor",
                      modality="MR", license=None)  # fmt: skip
    if not rows:
        raise InputError(f"{root}: no brain MRI slices were recognized in it. {HOW_TO_GET}")
    return rows


def _place(path: str, root: Path) -> Place | None:
    name = PurePosixPath(path).name or root.resolve().name
    label = CLASSES.get(name.lower().replace(" ", "_").replace("-", "_"))
    return None if label is None else Place(label)


BRAIN_TUMOR = Source(
    name="brain_tumor",
    title="Brain MRI slices with and without tumor",
    modality="MR",
    augment="mirror",
    channels=1,
    rows=brain_tumor_rows,
    how_to_get=HOW_TO_GET,
    phantom=BRAIN_MRI,
)
