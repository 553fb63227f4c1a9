"""PH2 (Mendonca et al. 2013): 200 dermoscopy images in BMP folders, lesion masks, and a table of diagnoses.

The table is PH2_dataset.xlsx, where a legend stands above the header and the diagnosis is an X in one of three
columns, or PH2_dataset.txt, separated by || or tabs, with a Clinical Diagnosis of 0, 1 or 2 and a legend below. The
spreadsheet is preferred where both are there: copies of the text file go round in which lines are damaged.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import ZipFile

from meddiff.errors import InputError, Problems
from meddiff.files.bounds import BoundedFile
from meddiff.files.unpack import DAMAGE
from meddiff.files.walk import Folder
from meddiff.formats.pictures import is_picture
from meddiff.manifest.row import ManifestRow
from meddiff.sources.source import real_row

LICENSE = "PH2: free for research and education, no redistribution"
_FILE = re.compile(r"(IMD\d{3})(_lesion)?\.\w+", re.IGNORECASE)
_ID = re.compile(r"IMD\d{3}", re.IGNORECASE)
_LARGEST_TABLE_BYTES = 1 << 22
_TABLE = re.compile(r"PH2_dataset\.(xlsx|txt)", re.IGNORECASE)
_COLUMNS = {"common nevus": "nv", "atypical nevus": "atypical_nv", "melanoma": "mel"}
_CODES = ("nv", "atypical_nv", "mel")  # clinical diagnosis 0, 1, 2
_logger = logging.getLogger(__name__)


def ph2_rows(root: Path, folders: Iterable[Folder]) -> list[ManifestRow]:
    """Return one row per PH2 image below the root; none where there is no PH2.

    Raises:
        InputError: a table that cannot be understood, or that lists images which are not there.
    """
    images, masks, tables = _find(folders)
    if not images:
        return []
    labels = _read_labels(root, tables)
    missing = sorted(labels.keys() - images.keys())
    if missing:
        raise InputError(f"{root / tables[0]}: {len(missing)} of {len(labels)} images have no file below {root}: "
                         f"{', '.join(missing[:5])}. Unpack the whole of PH2, or remove these lines.")  # fmt: skip
    unlabeled = sorted(images.keys() - labels.keys())
    if unlabeled:
        _logger.warning("PH2: %d of %d images have no diagnosis and are kept without: %s", len(unlabeled), len(images),
                        ", ".join(unlabeled[:5]))  # fmt: skip
    return [
        real_row(
            root,
            name,
            images[name],
            dataset="ph2",
            mask_path=masks.get(name),
            label=labels.get(name),
            modality="dermoscopy",
            license=LICENSE,
        )
        for name in sorted(images)
    ]


def _find(folders: Iterable[Folder]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Find images and masks by id, and the tables, the spreadsheet first."""
    images: dict[str, str] = {}
    masks: dict[str, str] = {}
    tables = []
    for folder in folders:
        for name in folder.names:
            match = _FILE.fullmatch(name) if is_picture(name) else None
            if match is not None:
                (masks if match[2] else images).setdefault(match[1].upper(), folder.join(name))
            elif _TABLE.fullmatch(name):
                tables.append(folder.join(name))
    return images, masks, sorted(tables, key=lambda path: (not path.lower().endswith("xlsx"), path))


def _read_labels(root: Path, tables: list[str]) -> dict[str, str]:
    if not tables:
        return {}
    path = root / tables[0]
    problems, labels = Problems(path), {}
    for place, name, label in _read_spreadsheet(path) if path.suffix.lower() == ".xlsx" else _read_text(path):
        if label not in _CODES:
            problems.add("no diagnosis", f"{place}: {name}: {label}",
                         "Mark exactly one of common nevus, atypical nevus, melanoma.")  # fmt: skip
        if name in labels:
            problems.add("duplicate id", f"{place}: {name}", "Keep one line per image.")
        labels[name] = label
    problems.raise_if_any()
    if not labels:
        raise InputError(f"{path}: no line begins with an image name like IMD003. Download PH2 again.")
    return labels


def _read_spreadsheet(path: Path) -> Iterator[tuple[str, str, str]]:
    """Read (place, id, label) of every line below the header, which is the line with "Image Name" in it."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    _check_parts(path)
    try:
        with BoundedFile(path) as file:
            lines = list(load_workbook(file, read_only=True, data_only=True).worksheets[0].iter_rows(values_only=True))
    except (*DAMAGE, InvalidFileException, OSError, SyntaxError, TypeError, AttributeError, ArithmeticError) as error:
        raise InputError(f"{path}: not a spreadsheet ({error}). Download PH2 again.") from error
    words = [[str(cell or "").strip().lower() for cell in line] for line in lines]
    top = next((number for number, line in enumerate(words) if "image name" in line), None)
    if top is None or not set(_COLUMNS) <= set(words[top]):
        raise InputError(f"{path}: no line has the columns Image Name, {', '.join(_COLUMNS)}. Download PH2 again.")
    names, columns = words[top].index("image name"), {words[top].index(word): _COLUMNS[word] for word in _COLUMNS}
    for number, line in enumerate(words[top + 1 :], start=top + 2):
        if _ID.fullmatch(line[names]):
            marked = [label for column, label in columns.items() if line[column] == "x"]
            yield f"line {number}", line[names].upper(), marked[0] if len(marked) == 1 else f"{len(marked)} marked"


def _check_parts(path: Path) -> None:
    """Refuse a spreadsheet with damaged parts, or which unpack to more than a table of 200 images: all are read."""
    try:
        with BoundedFile(path) as file, ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > _LARGEST_TABLE_BYTES:
                raise InputError(f"{path}: it unpacks to {size} bytes, as no table of 200 images does. "
                                 "Download PH2 again.")  # fmt: skip
            for entry in archive.infolist():
                archive.read(entry)
    except InputError:
        raise
    except (*DAMAGE, OSError) as error:
        raise InputError(f"{path}: not a spreadsheet ({error}). Download PH2 again.") from error


def _read_text(path: Path) -> Iterator[tuple[str, str, str]]:
    """Read (place, id, label); the legend below the table begins with no image name and is passed over."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: the file cannot be read ({error.strerror}).") from error
    column = None
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in re.split(r"\|\||\t", line.strip().removeprefix("||"))]
        lowered = [cell.lower() for cell in cells]
        if column is None:
            column = lowered.index("clinical diagnosis") if "clinical diagnosis" in lowered else None
        elif cells[0].upper().startswith("IMD"):
            code = cells[column] if column < len(cells) else ""
            known = _ID.fullmatch(cells[0]) is not None and code in ("0", "1", "2")
            yield f"line {number}", cells[0].upper(), _CODES[int(code)] if known else repr(line.strip())
    if column is None:
        raise InputError(f"{path}: no line has a column Clinical Diagnosis. Download PH2 again.")
