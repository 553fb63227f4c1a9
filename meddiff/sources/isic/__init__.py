"""Dermoscopy: HAM10000, the ISIC challenges 2016 to 2020 and PH2, one of them or several below one folder.

One picture is one row, whoever distributes it: the ISIC id is its row_id. Labels are in the vocabulary of
``meddiff.sources.isic.labels``; ``dataset`` names the challenge that the pixels come from. Groups are lesions
(HAM10000, ISIC 2019, ISIC 2018 with its LesionGroupings) or patients (ISIC 2020). An image without a diagnosis or a
mask is kept without; a table that lists images which are not there is an error, unless none of its images is.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from meddiff.errors import InputError
from meddiff.files.walk import Folder
from meddiff.manifest.row import ManifestRow
from meddiff.sources.folders.data_root import list_folders
from meddiff.sources.isic.archives import ARCHIVES
from meddiff.sources.isic.challenges import find_pictures
from meddiff.sources.isic.choice import OfficialParts, choose_pixels, keep_groups_whole, make_row
from meddiff.sources.isic.diagnoses import Facts, find_tables, read_facts
from meddiff.sources.isic.labels import overlaps
from meddiff.sources.isic.ph2 import ph2_rows
from meddiff.sources.phantom import DERMOSCOPY
from meddiff.sources.source import Source

_logger = logging.getLogger(__name__)

HOW_TO_GET = (
    "HAM10000 and the ISIC challenges are free to download without an account: `python -m meddiff.pipelines.download "
    "--dataset isic` lists the archives and fetches them, ham10000 being the usual start (10015 images, 7 diagnoses, "
    "lesion masks; CC BY-NC). By hand: https://doi.org/10.7910/DVN/DBW86T and "
    "https://challenge.isic-archive.com/data/; PH2 on request from https://www.fc.up.pt/addi/ph2%20database.html. "
    "Recognized as distributed, anywhere below the folder given as --data-root: HAM10000_images_part_1 and _part_2 "
    "with HAM10000_metadata(.csv) and HAM10000_segmentations_lesion_tschandl; ISBI2016_ISIC_Part1/3/3B_*; "
    "ISIC-2017_*_Data with Part1 and Part3 ground truth; ISIC2018_Task1-2_* and ISIC2018_Task3_*; ISIC_2019_*; "
    "ISIC_2020_Training_*; PH2Dataset."
)


def isic_rows(root: Path) -> list[ManifestRow]:
    """Return the rows of every dermoscopy set below ``root``, sorted by row_id.

    Raises:
        InputError: nothing is recognized, a table cannot be understood, or lists images which are not there.
    """
    folders = list_folders(root)
    rows = [*_challenge_rows(root, folders), *ph2_rows(root, folders)]
    if not rows:
        raise InputError(_nothing(root, folders))
    if not any(row.label or row.mask_path for row in rows):
        raise InputError(
            f"{root}: found {len(rows)} dermoscopy images but neither a table of diagnoses nor lesion masks. If they "
            "lie beside this folder, name the folder above it; otherwise download the ground truth too."
        )
    warning = overlaps(row.label for row in rows)
    if warning:
        _logger.warning("%s: %s", root, warning)
    return sorted(rows, key=lambda row: row.row_id)


def _challenge_rows(root: Path, folders: Sequence[Folder]) -> list[ManifestRow]:
    images, masks = find_pictures(folders, root.resolve().name)
    facts = _all_facts(root, folders, images) if images else {}
    official = OfficialParts(
        {name: {of.origin for of in (*masks.get(name, ()), *facts.get(name, ()))} for name in images},
        {name: {image.origin for image in images[name]} for name in images},
    )
    rows, moved = keep_groups_whole([
        make_row(root, name, choose_pixels(images[name], masks.get(name, ())), facts=facts.get(name, ()),
                 split=official.split(name))
        for name in images
    ])  # fmt: skip
    _tell(root, "%d images were moved from an official val or test part to train: the training part has the same "
          "lesion, patient or picture", moved)  # fmt: skip
    _tell(root, "%d lesion masks belong to no image and are left out", sorted(masks.keys() - images.keys()))
    if facts:
        _tell(root, "%d images have no diagnosis and are kept without a label",
              sorted(row.row_id for row in rows if row.label is None))  # fmt: skip
    return rows


def _all_facts(root: Path, folders: Sequence[Folder], images: Mapping[str, object]) -> dict[str, list[Facts]]:
    """List what all tables say of each picture that is there, in the order in which they are believed."""
    facts: dict[str, list[Facts]] = defaultdict(list)
    for table, origin in find_tables(folders, root):
        stated = read_facts(table, origin)
        _check_complete(table.path, stated, images, root)
        for name in stated.keys() & images.keys():
            facts[name].append(stated[name])
    disputed = []
    for name, of in facts.items():
        of.sort(key=lambda fact: (fact.origin.rank, str(fact.table)))
        if len({fact.label for fact in of if fact.label not in (None, "benign", "malignant")}) > 1:
            disputed.append(name)
    _tell(root, "%d images have different diagnoses in different tables; the first of HAM10000, ISIC 2018, 2019, 2017, "
          "2020, 2016 is taken", sorted(disputed))  # fmt: skip
    return facts


def _check_complete(table: Path, facts: Mapping[str, Facts], images: Mapping[str, object], root: Path) -> None:
    """Refuse a diagnosis without its image, a lost file, unless the whole part was never downloaded."""
    listed = [name for name, fact in facts.items() if fact.label is not None]
    missing = sorted(name for name in listed if name not in images)
    if missing and len(missing) == len(listed):
        _logger.warning("%s: none of its %d images is below %s; the table is passed over", table, len(listed), root)
    elif missing:
        raise InputError(
            f"{table}: {len(missing)} of its {len(listed)} images have no file below {root}: {', '.join(missing[:5])}"
            f"{' ...' if len(missing) > 5 else ''}. Unpack all image archives of this set (HAM10000 has two) below "
            "that folder, or remove these lines from the table."
        )


def _tell(root: Path, sentence: str, names: Sequence[str]) -> None:
    if names:
        _logger.warning(f"%s: {sentence}: %s%s", root, len(names), ", ".join(names[:5]),
                        " ..." if len(names) > 5 else "")  # fmt: skip


def _nothing(root: Path, folders: Sequence[Folder]) -> str:
    archives = [folder.join(name) for folder in folders for name in folder.names if name.lower().endswith(".zip")]
    unpack = f" There are archives in it ({', '.join(archives[:3])}): unpack them first." if archives else ""
    return f"{root}: no dermoscopy images were recognized in it.{unpack} {HOW_TO_GET}"


ISIC = Source(
    name="isic",
    title="Dermoscopy (HAM10000, ISIC challenges, PH2)",
    modality="dermoscopy",
    augment="square",
    channels=3,
    rows=isic_rows,
    how_to_get=HOW_TO_GET,
    archives=ARCHIVES,
    phantom=DERMOSCOPY,
)
