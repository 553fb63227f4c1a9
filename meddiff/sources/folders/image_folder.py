"""A data set of one's own: ``<class>/*.png``, or ``train/<class>/*.png``, ``val/<class>/...``, ``test/<class>/...``.

The class is the folder's name as it is written; folders below it (one per patient, say) do not change it. Where no
image lies in such a folder none has a label. A folder called masks (labels, segmentations ...) whose files are called
as the images beside it holds their masks, one each or one per class: ``images/a.png`` with ``masks/a.png``,
``masks/a_lesion.png`` or ``masks/lesion/a.png``. Where at least two of train, val and test are there, they are kept as
the split. A groups.csv tells which images belong together (see ``meddiff.sources.folders.class_folders``). For ages,
sexes, sites or volumes write a data_manifest.csv.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from meddiff.errors import InputError, Problems
from meddiff.files.walk import Folder
from meddiff.formats.pictures import PICTURE_SUFFIXES, is_picture
from meddiff.manifest.consistency import check_rows
from meddiff.manifest.mask_cells import IMAGE_FOLDERS, MASK_FOLDERS, owner_of, split_off
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
    "or all in one folder, without classes (--label none); masks in a folder masks/ beside images/; files ending in "
    f"{', '.join(PICTURE_SUFFIXES)}. Add a groups.csv with the columns path and group where several images show one "
    "patient."
)


def image_folder_rows(root: Path) -> list[ManifestRow]:
    """Return one row per image in a class folder, or, where there is no such folder, one per image without a label.

    Raises:
        InputError: no images, images beside the class folders, groups.csv is wrong, or one of its groups (or copies of
            one image) stand in two of train, val and test.
    """
    folders = list_folders(root)
    masks = _masks(root, folders)
    if masks:
        folders = [folder for folder in folders if not split_off(folder.path, MASK_FOLDERS)[1]]
    place_of = _places(folders, IMAGE_FOLDERS if masks else ())
    pictures = [(folder, name) for folder in folders for name in folder.names if is_picture(name)]
    loose = [folder.join(name) for folder, name in pictures if place_of(folder.path).label is None]
    if 0 < len(loose) < len(pictures):
        raise InputError(
            f"{root}: {len(loose)} images lie in no class folder: {', '.join(loose[:5])}. Put each into a folder "
            f"named after its class, or write a data_manifest.csv. {HOW_TO_GET}"
        )
    rows = class_rows(root, folders, place_of, masks, dataset="image_folder")
    if not rows:
        raise InputError(f"{root}: no images in class folders were found. {HOW_TO_GET}")
    if len({row.split for row in rows} - {None}) < 2:
        return [replace(row, split=None) for row in rows]
    check_rows(rows, root)
    return rows


def _masks(root: Path, folders: Sequence[Folder]) -> dict[str, dict[str, str]]:
    """Find image -> mask -> class in folders of masks; none where these are classes like others.

    Raises:
        InputError: a mask without image among others that have one.
    """
    images: dict[str, dict[str, str]] = defaultdict(dict)
    masks = []
    for folder in folders:
        place, apart = split_off(folder.path, MASK_FOLDERS)
        place = place if apart else split_off(folder.path, IMAGE_FOLDERS)[0]
        for stem, path in ((PurePosixPath(name).stem, folder.join(name)) for name in folder.names if is_picture(name)):
            if apart:
                masks.append((place, stem, path))
            else:
                images[place][stem] = path
                images[place].setdefault(stem.removesuffix("_0000"), path)  # nnU-Net numbers the channels of images
    owners = {path: owner_of(place, stem, images) for place, stem, path in masks}
    if not any(owners.values()):
        return {}
    problems, of_image = Problems(root), defaultdict(dict)
    for path, owner in owners.items():
        if owner is None:
            problems.add("mask without image", path, "Name it as its image, or take it out.")
        else:
            of_image[images[owner[0]][owner[1]]][path] = owner[2]
    problems.raise_if_any()
    return of_image


def _places(folders: Sequence[Folder], between: Sequence[str]) -> Callable[[str], Place]:
    """Return what tells class and split of a folder, whatever folders of the names ``between`` lie on the way."""
    depth = _wrapping([split_off(folder.path, between)[0] for folder in folders if any(map(is_picture, folder.names))])
    return lambda path: _place(split_off(path, between)[0], depth)


def _wrapping(paths: Sequence[str]) -> int:
    """Count the folders to pass before the classes: a lone folder without images, as archives often have on top."""
    with_images = [PurePosixPath(path).parts for path in paths]
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
