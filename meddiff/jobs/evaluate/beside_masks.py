"""The things that ``evaluate masks`` finds beside masks: probabilities, members, uncertainties, other raters."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from meddiff.errors import InputError
from meddiff.evaluation.masks.coding import Coding
from meddiff.evaluation.masks.detections import free_response
from meddiff.evaluation.masks.pairs import (
    SOFTMAX,
    MaskFile,
    Matching,
    SoftMasks,
    bare_name,
    check_pair,
    match_folders,
    probabilities_beside,
    read_mask,
    read_probabilities,
    soft_masks,
)
from meddiff.evaluation.masks.reliability import Reliability, case_calibration, reliability_of
from meddiff.evaluation.masks.summary import LOW_DICE
from meddiff.evaluation.rows import distinct
from meddiff.formats.masks import IGNORED, MaskAt, MaskMeaning
from meddiff.metrics.masks.uncertainty import generalized_energy_distance
from meddiff.reports import words
from meddiff.reports.results import MaskResults

TITLES = {"nll": "NLL, nats", "brier": "Brier", "ged": "energy distance to the raters"}


@dataclass(frozen=True)
class Rater:
    """The masks of another rater, and what they mean."""

    matching: Matching
    meaning: MaskMeaning


@dataclass
class Soft:
    """Scores of what lies beside one model's masks, while its cases pass by."""

    model: str
    coding: Coding
    meaning: MaskMeaning
    """Of the model's own masks."""
    beside: SoftMasks
    raters: Sequence[Rater]
    geometry: bool
    on: Mapping[Path, MaskAt]
    """Masks that are more than a file (see `pairs.read_as`)."""
    notes: list[str] = field(default_factory=list)
    reliability: list[Reliability] = field(default_factory=list)
    detections: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(
        cls, model: str, folder: Path, pairs: Matching, coding: Coding, meaning: MaskMeaning, raters: Sequence[Rater],
        *, geometry: bool, on: Mapping[Path, MaskAt],
    ) -> Soft:  # fmt: skip
        """Find what every case with a mask has, and note what only some have."""
        soft, notes, bare = soft_masks(folder, by_path=pairs.by_path), [], [bare_name(case) for case in pairs.pairs]
        kept: dict[str, Any] = {}
        for what in ("probabilities", "members", "uncertainty"):
            values = getattr(soft, what)
            there = sum(case in values for case in bare)
            complete = there == len(bare) and not (what == "uncertainty" and pairs.missing)
            kept[what] = values if complete else {}
            if there and not complete:
                cases = len(bare) + len(pairs.missing)
                notes.append(f"{model}: {what} of {there} of {cases} cases were found: not used")
        return cls(model, coding, meaning, SoftMasks(**kept), raters, geometry, on, notes)

    def truth(self, path: Path) -> MaskFile:
        """Read a truth as class indices."""
        return read_mask(path, self.coding.truth, self.on.get(path))

    def prediction(self, path: Path) -> MaskFile:
        """Read one of the model's masks as class indices."""
        return read_mask(path, self.meaning, self.on.get(path))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Background first."""
        return ("background", *self.coding.classes.values())

    def columns(self, case: str, patient: str, truth: MaskFile, masks: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """Compute further columns of a case's rows, one dict per foreground class.

        Args:
            case, patient: as in the table.
            truth: as it is stored.
            masks: class indices of truth and prediction.
        """
        bare, shared = bare_name(case), {}
        if bare in self.beside.uncertainty:
            shared["uncertainty"] = self.beside.uncertainty[bare]
        if bare in self.beside.probabilities:
            probabilities = self._probabilities(bare, truth, masks[1])
            shared |= case_calibration(masks[0], probabilities)
            self.reliability.append(reliability_of(masks[0], probabilities))
            counted = free_response(masks[0], probabilities, class_names=self.class_names)
            about = {"model": self.model, "case": case, "patient": patient}
            self.detections += [about | row for row in counted]
        rows = [dict(shared) for _ in self.coding.classes]
        others = [
            (rater.matching.pairs[case][1], rater.meaning) for rater in self.raters if case in rater.matching.pairs
        ]
        if others:
            truths = np.stack([masks[0], *(self._indices(path, meaning, truth) for path, meaning in others)])
            members = self.beside.members.get(bare, [])
            samples = np.stack([self._indices(path, self.meaning, truth) for path in members] or [masks[1]])
            judged = (truths != IGNORED).all(axis=0)
            truths, samples = truths * judged, samples * judged
            for index, row in enumerate(rows, start=1):
                row["ged"] = generalized_energy_distance(truths == index, samples == index)
        return rows

    def _probabilities(self, bare: str, truth: MaskFile, mask: np.ndarray) -> np.ndarray:
        """Read the probabilities [K, *S] of a case, from one file or from one per class."""
        files = self.beside.probabilities[bare]
        if SOFTMAX in files:
            return probabilities_beside(files[SOFTMAX], self.coding.classes, truth, mask)
        return read_probabilities(files, self.class_names, truth)

    def calibration(self) -> pd.DataFrame:
        """Return the bins of all cases, as `Reliability.to_frame` gives them."""
        pooled = reduce(add, self.reliability) if self.reliability else None
        return pd.DataFrame() if pooled is None else pooled.to_frame(self.model, self.class_names)

    def _indices(self, path: Path, meaning: MaskMeaning, truth: MaskFile) -> np.ndarray:
        mask = read_mask(path, meaning, self.on.get(path))
        check_pair(truth, mask, geometry=self.geometry)
        return mask.values


def raters_of(truth: Path, folders: str, images: Collection[str] = ()) -> list[Matching]:
    """Return the other raters' masks, matched with the truth's.

    Raises:
        InputError: folders that do not match.
    """
    places = [Path(folder.strip()).expanduser() for folder in folders.split(",") if folder.strip()]
    matched = [match_folders(truth, place, images) for place in places]
    if folders and not matched:
        raise InputError(f"got --raters {folders!r}: name folders of other raters' masks, with commas between")
    return matched


def show_soft(report: MaskResults, console: Console) -> None:
    """Print a table of what probabilities, uncertainties and members say, where there are any; a column per model."""
    lines: dict[str, dict[str, str]] = {}
    for row in report.calibration_errors.to_dict("records"):
        lines.setdefault("ECE", {})[row["model"]] = words.number(row["ece"])
        lines.setdefault("class-wise ECE", {})[row["model"]] = words.number(row["classwise_ece"])
    for row in report.soft.to_dict("records"):
        name = f"{TITLES[row['metric']]} {row['class_name']}".strip()
        cell = f"{words.number(row['mean'])} {words.interval_of(row)}"
        lines.setdefault(name, {})[row["model"]] = cell
    for row in report.uncertainty.to_dict("records"):
        cell = f"{words.number(row['auroc'])} {words.interval_of(row)}"
        lines.setdefault(f"AUROC of Dice < {LOW_DICE:g}", {})[row["model"]] = cell
    if not lines:
        return
    scored = {model for line in lines.values() for model in line}
    models = [model for model in distinct(report.summary, "model") if model in scored]  # as in the table before
    table = Table("", *models, title="probabilities and uncertainty")
    for name, line in lines.items():
        table.add_row(name, *(line.get(model, "") for model in models))
    console.print(table)
