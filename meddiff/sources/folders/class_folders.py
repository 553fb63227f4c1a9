"""Folders whose name is the class: ``<class>/*.png``, with or without Training/Testing above them.

A ``groups.csv`` with columns path and group, anywhere in the tree, says which images belong together (one patient, or
near-duplicates of one slice); the group becomes the patient_id, so that no split cuts it. Several groups.csv below one
root share one numbering: the same number is the same group, which is at worst too careful. Without one, copies of the
same bytes share a group; near-copies do not, and a warning says so.
"""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from meddiff.errors import Problems
from meddiff.files.walk import Folder
from meddiff.formats.pictures import is_picture
from meddiff.manifest.mask_cells import all_in_one_way, image_of_mask, mask_cell
from meddiff.manifest.row import ManifestRow
from meddiff.sources.published_tables import read_table
from meddiff.sources.source import real_row

GROUPS = "groups.csv"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """An image with what the folders above say of it."""

    label: str | None
    """None where no folder says it."""
    split: str | None = None


def class_rows(
    root: Path, folders: Sequence[Folder], place_of: Callable[[str], Place | None],
    masks: Mapping[str, Mapping[str, str]] | None = None, **columns: str | None,
) -> list[ManifestRow]:  # fmt: skip
    """Return one row per image of a class folder, sorted by row_id; none where no folder is a class.

    Args:
        root: the folder that paths are relative to.
        folders: what lies below it.
        place_of: a folder's path -> its class and official split, None where it holds no images of a class.
        masks: image -> mask -> class, of masks in folders of their own; ``folders`` has none of these.
        columns: what is the same for all rows: dataset, modality, license.

    Raises:
        InputError: a groups.csv that lacks a column, lists a path twice or one that is not there.
    """
    places = _places(folders, place_of, masks or {})
    if not places:
        return []
    groups = _read_groups(root, folders, places)
    if not groups:
        groups = _group_copies(root, places)
        _logger.warning("%s: no %s (columns path, group) says which images show the same patient; each image counts as "
                        "one, so near-copies may lie on both sides of the split", root, GROUPS)  # fmt: skip
    rows = [
        real_row(
            root,
            path.replace("/", "__"),
            path,
            mask_path=mask,
            label=place.label,
            split=place.split,
            patient_id=groups.get(path),
            **columns,
        )
        for path, (place, mask) in sorted(places.items())
    ]
    return all_in_one_way(rows)


def _places(
    folders: Sequence[Folder], place_of: Callable[[str], Place | None], masks: Mapping[str, Mapping[str, str]]
) -> dict[str, tuple[Place, str | None]]:
    """Return what is known of each image, and its mask as a cell."""
    places: dict[str, tuple[Place, str | None]] = {}
    for folder in folders:
        if (place := place_of(folder.path)) is None:
            continue
        for name, beside in _pair_masks([name for name in folder.names if is_picture(name)]).items():
            image = folder.join(name)
            named = {folder.join(mask): of for mask, of in beside.items()} | dict(masks.get(image, {}))
            places[image] = place, mask_cell(named)
    return places


def _pair_masks(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return image -> mask -> class: ``a_mask.png`` beside ``a.png`` is a mask and no image of its own."""
    by_stem = {PurePosixPath(name).stem: name for name in names}
    pairs: dict[str, dict[str, str]] = {name: {} for name in names if name not in by_stem.values()}  # of the same stem
    for stem, name in sorted(by_stem.items()):
        owner, named = image_of_mask(stem) or ("", "")
        if (image := by_stem.get(owner)) is None:
            pairs.setdefault(name, {})
        else:
            pairs.setdefault(image, {})[name] = named
    return pairs


def _read_groups(root: Path, folders: Iterable[Folder], found: Mapping[str, object]) -> dict[str, str]:
    groups: dict[str, str] = {}
    for folder in folders:
        for name in folder.names:
            if name.lower() == GROUPS:
                groups |= _read_group_file(root, folder, name, found)
    alone = sorted(found.keys() - groups.keys()) if groups else []
    if alone:
        _logger.warning("%s: %d of %d images stand in no %s and count as a group each: %s", root, len(alone),
                        len(found), GROUPS, ", ".join(alone[:5]))  # fmt: skip
    return groups


def _read_group_file(root: Path, folder: Folder, name: str, found: Mapping[str, object]) -> dict[str, str]:
    table = read_table(root / folder.join(name))
    table.require("path", "group")
    problems, groups = Problems(table.path), {}
    for line, cells in table.records:
        path = folder.join(cells["path"].replace("\\", "/"))
        if path not in found:
            problems.add("no image of a class there", f"line {line}: {cells['path']}",
                         f"Write paths relative to {table.path.parent}.")  # fmt: skip
        if path in groups:
            problems.add("duplicate path", f"line {line}: {cells['path']}", "Keep one line per image.")
        if not cells["group"]:
            problems.add("empty group", f"line {line}: {cells['path']}", "Give every image a group, or leave it out.")
        groups[path] = f"group-{cells['group']}"
    problems.raise_if_any()
    return groups


def _group_copies(root: Path, found: Mapping[str, tuple[Place, str | None]]) -> dict[str, str]:
    """Return the path -> group for files with the same bytes. Only files of equal size are read."""
    by_size: dict[int, list[str]] = defaultdict(list)
    for path in found:
        by_size[(root / path).stat().st_size].append(path)
    by_content: dict[str, list[str]] = defaultdict(list)
    for paths in by_size.values():
        for path in paths if len(paths) > 1 else ():
            by_content[hashlib.sha256((root / path).read_bytes()).hexdigest()].append(path)
    copies = {digest: paths for digest, paths in by_content.items() if len(paths) > 1}
    if copies:
        disputed = sum(len({found[path][0].label for path in paths}) > 1 for paths in copies.values())
        _logger.warning("%s: %d images have a copy with the same bytes; copies are kept in one split%s", root,
                        sum(map(len, copies.values())),
                        f", and {disputed} of them stand in several classes" if disputed else "")  # fmt: skip
    return {path: f"copies-{digest[:12]}" for digest, paths in copies.items() for path in paths}
