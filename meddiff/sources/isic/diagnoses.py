"""Facts that the challenges' tables state of a picture: its diagnosis, lesion, patient, age, sex and site.

A table is known by its columns, so that it may have been renamed; a table with a publisher's file name whose columns
are not the publisher's is an error. The layouts:

- HAM10000_metadata, with or without .csv or .tab (Dataverse): image_id, lesion_id, dx, age, sex, localization;
  ISIC2018_Task3_Test_GroundTruth on Dataverse has the same columns
- ISIC 2016 Part 3 and 3B: no header; image, benign/malignant (training) or 0.0/1.0 (test)
- ISIC 2017 Part 3: image_id, melanoma, seborrheic_keratosis; beside it metadata with age_approximate, sex
- ISIC 2018 Task 3: image, MEL, NV, BCC, AKIEC, BKL, DF, VASC; LesionGroupings with image, lesion_id
- ISIC 2019: image, MEL, NV, BCC, AK, BKL, DF, VASC, SCC, UNK; metadata with image, age_approx, sex, lesion_id
- ISIC 2020: image_name, patient_id, sex, age_approx, anatom_site_general_challenge, target
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from meddiff.errors import Problems
from meddiff.files.walk import Folder
from meddiff.sources.isic import labels
from meddiff.sources.isic.challenges import Origin, isic_id, origin_of
from meddiff.sources.published_tables import Table, known, number, read_header, read_table

_IDS = ("image_id", "image", "image_name", "isic_id")
_AGES = ("age", "age_approx", "age_approximate")
_SITES = ("localization", "anatom_site_general", "anatom_site_general_challenge")
_ISIC_2016 = re.compile(r"ISBI2016_ISIC_Part3B?_(Training|Test)_GroundTruth\.csv", re.IGNORECASE)
# file names whose columns are certain: a table of this name without them is damaged, not foreign
_CERTAIN = (
    (re.compile(r"HAM10000_metadata(\.\w+)?", re.IGNORECASE), ("image_id", "lesion_id", "dx")),
    (re.compile(r"ISIC2018_Task3_(Training|Validation)_GroundTruth\.csv", re.IGNORECASE),
     ("image", "mel", "nv", "bcc", "akiec", "bkl", "df", "vasc")),
    (re.compile(r"ISIC_2019_\w+_GroundTruth\.csv", re.IGNORECASE),
     ("image", "mel", "nv", "bcc", "ak", "bkl", "df", "vasc", "scc")),
    (re.compile(r"ISIC-2017_\w+_Part3_GroundTruth\.csv", re.IGNORECASE),
     ("image_id", "melanoma", "seborrheic_keratosis")),
    (re.compile(r"ISIC_2020_Training_GroundTruth(_v2)?\.csv", re.IGNORECASE), ("image_name", "patient_id", "target")),
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """One line of one table on one picture."""

    table: Path
    origin: Origin
    label: str | None
    lesion_id: str | None
    patient_id: str | None
    age_years: float | None
    sex: str | None
    site: str | None


def find_tables(folders: Iterable[Folder], root: Path) -> list[tuple[Table, Origin]]:
    """Find the tables below the root that speak of ISIC pictures, in the order of their paths."""
    tables = []
    for folder in folders:
        for name in folder.names:
            if name.lower().endswith((".csv", ".tab", ".tsv")) or name == "HAM10000_metadata":
                table = _read_if_known(root / folder.join(name))
                if table is not None:
                    tables.append((table, _origin(table, f"{root.name}/{folder.join(name)}")))
    return tables


def read_facts(table: Table, origin: Origin) -> dict[str, Facts]:
    """Read ISIC id -> what the table says.

    Raises:
        InputError: an id that is none or stands twice, a diagnosis, age or sex that cannot be understood; each with
            its line number.
    """
    problems, facts = Problems(table.path), {}
    columns = {"id": table.first_of(*_IDS), "age": table.first_of(*_AGES), "site": table.first_of(*_SITES)}
    label_of = _label_reader(table)
    first: dict[str, int] = {}
    for line, cells in table.records:
        picture = isic_id(cells[columns["id"] or ""])
        if picture is None:
            problems.add("no ISIC id", f"line {line}: {cells[columns['id'] or '']!r}",
                         "Write ids like ISIC_0024306.")  # fmt: skip
        elif picture in first:
            problems.add("duplicate id", f"line {line}: {picture} stands on line {first[picture]} already",
                         "Keep one line per image.")  # fmt: skip
        else:
            first[picture] = line
            try:
                facts[picture] = _facts(table.path, origin, cells, columns, label_of)
            except ValueError as error:
                problems.add("bad cell", f"line {line}: {picture}: {error}",
                             "Correct the line, or take the table as its publisher distributes it.")  # fmt: skip
    problems.raise_if_any()
    return facts


def _facts(
    path: Path,
    origin: Origin,
    cells: Mapping[str, str],
    columns: Mapping[str, str | None],
    label_of: Callable[[Mapping[str, str]], str | None],
) -> Facts:
    age = number(cells.get(columns["age"] or ""))
    if age is not None and not 0 <= age <= 130:
        raise ValueError(f"age {age:g} is not from 0 to 130 years")
    sex = known(cells.get("sex"))
    site = known(cells.get(columns["site"] or ""))
    return Facts(
        path, origin, label_of(cells), known(cells.get("lesion_id")), known(cells.get("patient_id")),
        age, sex and sex.lower(), site and site.lower(),
    )  # fmt: skip


def _label_reader(table: Table) -> Callable[[Mapping[str, str]], str | None]:
    """Choose how this table states the diagnosis."""
    present = set(table.columns)
    if "dx" in present:
        return lambda cells: labels.diagnosis(cells["dx"]) if known(cells["dx"]) else None
    if {"melanoma", "seborrheic_keratosis"} <= present:
        return labels.isic2017
    if {"mel", "nv"} <= present:
        columns = [name for name in labels.ONE_HOT_COLUMNS if name in present]
        return lambda cells: labels.one_hot(cells, columns)
    coarse = "target" if "target" in present else "benign_malignant"
    if coarse in present:
        return lambda cells: labels.benign_or_malignant(cells[coarse])
    return lambda cells: None


def _read_if_known(path: Path) -> Table | None:
    if _ISIC_2016.fullmatch(path.name):
        headless = isic_id(next(iter(read_header(path)), "")) is not None
        table = read_table(path, columns=("image_id", "benign_malignant") if headless else None)
        table.require("image_id", "benign_malignant")
        return table
    for pattern, columns in _CERTAIN:
        if pattern.fullmatch(path.name):
            table = read_table(path)
            table.require(*columns)
            return table
    header = set(read_header(path))
    speaks = header & {"dx", "mel", "melanoma", "lesion_id", "patient_id", "target", *_AGES}
    if not (header & set(_IDS) and speaks):
        return None
    table = read_table(path)
    ids = table.first_of(*_IDS)
    return table if any(isic_id(cells[ids or ""]) for _, cells in table.records[:10]) else None


def _origin(table: Table, path: str) -> Origin:
    """Tell the origin: HAM10000 is the only set with a column dx, whatever its table is called."""
    origin = origin_of(path)
    return Origin("ham10000", None) if origin.challenge is None and "dx" in table.columns else origin
