"""The audit of stage 1: pictures that lie in several splits, and what else makes a result worthless.

It looks at the images as they have just been prepared, which takes half a millisecond each. Copies tie images
together as a patient does, where the split is drawn by us; a split that the images came with is never changed unless
``data.copies`` asks for it. What is serious is printed, and stands in findings.csv and in the report. The command
``inspect --audit`` looks at the files themselves, and at more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from meddiff import build
from meddiff.audit import duplicates, study
from meddiff.audit.finding import Finding, images_of
from meddiff.audit.image_facts import Facts
from meddiff.audit.listing import folder_rows
from meddiff.errors import InputError, Problems
from meddiff.files.bad import exists
from meddiff.files.long_tables import read_table
from meddiff.manifest.row import ManifestRow, on_disk
from meddiff.manifest.split import SPLITS, tied
from meddiff.manifest.table import read_manifest
from meddiff.run import RunFolder

COLUMNS = ("finding", "severity", "kind", "file", "sentence")
SHOWN_FILES, SHOWN_PER_KIND = 4, 12
STYLES = {"serious": "bold red", "warning": "yellow", "note": "dim"}
MOST_TIED = 0.1
"""Share of the images that near-copies may tie together: where more look alike, that says nothing of one patient."""


@dataclass(frozen=True)
class Copies:
    """Images that show the same picture."""

    rows: tuple[ManifestRow, ...]
    """With the split that they came with."""
    near: np.ndarray
    """Pairs of near-duplicates [P, 2], turned and mirrored ones among them."""
    same: np.ndarray
    """Those of them that are one picture, but for its format."""

    @classmethod
    def among(cls, facts: Sequence[Facts]) -> Copies:
        """Compare all images with each other."""
        rows, near = tuple(fact.row for fact in facts), study.pairs_of(facts)
        turned = study.with_turned(facts, near)
        if not len(near):
            return cls(rows, turned, near)
        same = duplicates.are_same(near, *(np.stack([getattr(fact, name) for fact in facts])
                                       for name in ("hash", "thumbnail")))  # fmt: skip
        return cls(rows, turned, near[same])

    def torn(self, pairs: np.ndarray) -> list[list[int]]:
        """List the groups that hang together by pairs and came in several splits."""
        groups = duplicates.clusters(len(self.rows), pairs)
        return [group for group in groups if len({came_in(self.rows[place]) for place in group} - {None}) > 1]

    def ties(self) -> list[tuple[int, int]]:
        """List the pairs that a split of ours must not part.

        Images that came in several splits are not tied. Where near-copies would tie a large part of all images, as
        the slices of one kind of scan may do, only those that are one picture are.
        """
        apart = {place for group in self.torn(self.near) for place in group}
        near, same = (
            [(int(one), int(two)) for one, two in pairs if one not in apart] for pairs in (self.near, self.same)
        )
        with_near, with_same = (max(map(len, tied(self.rows, pairs)), default=0) for pairs in (near, same))
        return near if with_near <= with_same + max(1, MOST_TIED * len(self.rows)) else same

    def check(self, where: object) -> None:
        """Refuse pictures that came in several splits.

        Raises:
            InputError: all of them, by file and split.
        """
        problems = Problems(where)
        cure = (
            "What a model has trained on cannot judge it. --data.copies drop leaves them out of train and val, "
            "--data.copies keep goes on as it is and says so in the report."
        )
        for group in self.torn(self.same):
            files = images_of(self.rows[place] for place in group)
            splits = [came_in(self.rows[place]) or "no split" for place in group]
            named = [f"{file} ({split})" for file, split in zip(files, splits, strict=True)]
            problems.add("one picture in several splits", " = ".join(named), cure)
        problems.raise_if_any()

    def dropped(self) -> list[tuple[ManifestRow, str]]:
        """List what to leave out, so that no copy is left in two splits: the test split keeps its images."""
        out = []
        for group in self.torn(self.near):
            rows = [self.rows[place] for place in group]
            by_split = {name: [row for row in rows if came_in(row) == name] for name in SPLITS}
            judge = next(name for name in reversed(SPLITS) if by_split[name])
            reason = f"a copy or near-copy of {by_split[judge][0].image_path}, which is in {judge}"
            out += [(row, f"{row.image_file}: {reason}") for name in SPLITS if name != judge for row in by_split[name]]
        return out


def came_in(row: ManifestRow) -> str | None:
    """Return the split that a row came with; synthetic images train."""
    return row.split or ("train" if row.source == "synthetic" else None)


def findings_of(facts: Sequence[Facts], found: Copies, chosen: Sequence[ManifestRow]) -> list[Finding]:
    """Say what is serious about images in their final split, and which copies a split of ours keeps together.

    ``facts`` and ``found`` are of the same images as ``chosen``, in the same order.
    """
    own = [replace(fact, row=row) for fact, row in zip(facts, chosen, strict=True)]
    serious = [one for one in study.findings(own, found.near) if one.severity == "serious"]
    groups = duplicates.clusters(len(chosen), np.array(found.ties(), dtype=np.int64).reshape(-1, 2))
    several = [group for group in groups if len({chosen[place].group for place in group}) > 1]
    if several:
        files = images_of(chosen[place] for group in several for place in group)
        sentence = (
            f"{len(files)} images are copies or near-copies of each other, in {len(several)} groups, and the manifest "
            "does not say that they belong together: no split cuts such a group"
        )
        serious.append(Finding("copies kept together", files, sentence, "note"))
    return study.in_order(serious)


def to_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """List a line per file of each finding, the first of which has its sentence."""
    lines = [
        (number, one.severity, one.kind, file, "" if place else one.sentence)
        for number, one in enumerate(findings, start=1)
        for place, file in enumerate(one.files or ("",))
    ]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def findings_in(folder: RunFolder) -> pd.DataFrame:
    """Read what stage 1 found, one line per finding; none in a run of a version that did not look."""
    if not folder.findings.is_file():
        return pd.DataFrame()
    table = read_table(folder.findings, COLUMNS).fillna({"file": ""})
    lines = []
    for _, rows in table.groupby("finding", sort=True):
        files = [name for name in rows["file"] if name]
        first = rows.iloc[0]
        more = ["..."] if len(files) > SHOWN_FILES else []
        lines.append({"severity": first["severity"], "kind": first["kind"], "sentence": first["sentence"],
                      "n_files": len(files), "files": ", ".join([*files[:SHOWN_FILES], *more])})  # fmt: skip
    return pd.DataFrame(lines)


def tell(console: Console, found: Sequence[Finding], place: str) -> None:
    """Print the findings kind by kind, the worst first, each sentence once; file names stay whole, to be copied.

    ``place`` is where all of them can be read.
    """
    kinds: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in found:
        kinds.setdefault((one.severity, one.kind), {}).setdefault(one.sentence, []).extend(one.files)
    for (severity, kind), sentences in kinds.items():
        console.print(Text(f"{severity}: {kind}", style=STYLES[severity]))
        for sentence, files in [*sentences.items()][:SHOWN_PER_KIND]:
            console.print(Padding(Text(sentence), (0, 0, 0, 4)))
            more = [f"and {len(files) - SHOWN_FILES} more"] if len(files) > SHOWN_FILES else []
            for file in [*files[:SHOWN_FILES], *more]:
                console.print(Text(f"        {file}", style="dim"), soft_wrap=True)
        if len(sentences) > SHOWN_PER_KIND:
            console.print(f"    {len(sentences) - SHOWN_PER_KIND} more of this kind: {place} names them all")
    if found:
        console.print()


def rows_of(path: Path, dataset: str = "", data_root: str = "") -> tuple[list[ManifestRow], list[Finding]]:
    """Return the rows that are audited, and what was odd in finding them.

    Raises:
        InputError: nothing is there to audit, a manifest that cannot be parsed, an unknown data set.
    """
    if dataset and path.is_dir():
        return build.source(dataset).rows(path), []
    if dataset:
        raise InputError(f"{path} is no folder: --dataset says how to read one. Leave it out for a manifest.")
    if path.is_dir():
        return folder_rows(path)
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path}: name a manifest (.csv), or a folder of images and masks, to audit")
    root = Path(data_root).expanduser() if data_root else None
    rows = read_manifest(path, root=root, check_files=False, check_together=False)
    if not any(exists(on_disk(file)) for row in rows for file in row.image_files):
        raise InputError(
            f"{path}: none of its {len(rows)} images exists, the first being {rows[0].image_file}. Name the folder "
            "that its paths start in with --data-root."
        )
    return rows, []
