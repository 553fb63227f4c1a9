"""A data set of one's own: ``<class>/*.png``, or ``train/<class>/*.png``, ``val/<class>/...``, ``test/<class>/...``.

The class is the folder's name as it is written; folders below it (one per patient, say) do not change it. Where no
image lies in such a folder none has a label. Where at least two of train, val and test are there, they are kept as the
split. A groups.csv tells which images belong together (see ``meddiff.sources.folders.class_folders``). For ages,
sexes, sites or volumes write a data_manifest.csv.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from meddiff.errors import InputError
from meddiff.files.walk import Folder
from meddiff.formats.pictures import PICTURE_SUFFIXES, is_picture
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.row import ManifestRow
from meddiff.sources.folders.class_folders import Place, class_rows
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.source import Source

PARTS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip

HOW_TO_GET = (
    "Any images in folders by class: <class>/*.png below --data-root, or train/<class>, val/<class>, test/<class>, "
    f"or all in one folder, without classes (--label none); files ending in {', '.join(PICTURE_SUFFIXES)}. Add a "
    "groups.csv with the columns path and group where several images show one patient."
)


def image_folder_rows(root: Path) -> list[ManifestRow]:
    """Return one row per image in a class folder, or, where there is no such folder, one per image without a label.

    Raises:
        InputError: no images, images beside the class folders, groups.csv is wrong, or one of its groups (or copies of
            one image) stand in two of train, val and test.
    """
    folders = list_folders(root)
    depth = _wrapping(folders)
    pictures = [(folder, name) for folder in folders for name in folder.names if is_picture(name)]
    loose = [folder.join(name) for folder, name in pictures if _place(folder.path, depth).label is None]
    if 0 < len(loose) < len(pictures):
        raise InputError(
            f"{root}: {len(loose)} images lie in no class folder: {', '.join(loose[:5])}. Put each into a folder "
            f"named after its class, or write a data_manifest.csv. {HOW_TO_GET}"
        )
    rows = class_rows(root, folders, lambda path: _place(path, depth), dataset="image_folder")
    if not rows:
        raise InputError(f"{root}: no images in class folders were found. {HOW_TO_GET}")
    if len({row.split for row in rows} - {None}) < 2:
        return [replace(row, split=None) for row in rows]
    check_rows(rows, root)
    return rows


def _wrapping(folders: Sequence[Folder]) -> int:
    """Count the folders to pass before the classes: a lone folder without images, as archives often have on top."""
    with_images = [PurePosixPath(folder.path).parts for folder in folders if any(map(is_picture, folder.names))]
    depth = 0
    while with_images and all(len(parts) > depth + 1 for parts in with_images):
        names = {parts[depth] for parts in with_images}
        if len(names) > 1 or names.pop().lower() in PARTS:
            break
        depth += 1
    return depth


def _place(path: str, depth: int) -> Place:
    parts = PurePosixPath(path).parts[depth:]
    split = PARTS.get(parts[0].lower()) if parts else None
    parts = parts[1:] if split else parts
    return Place(parts[0] if parts else None, split)


IMAGE_FOLDER = Source(
    name="image_folder",
    title="Images in class folders",
    modality="",
    channels=3,
    rows=image_folder_rows,
    how_to_get=HOW_TO_GET,
)
