"""What ``evaluate masks`` finds beside masks: probabilities, members of an ensemble, uncertainties, other raters."""

from __future__ import annotations

from collections.abc import Sequence
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
from meddiff.evaluation.masks.calibration import Reliability, case_calibration, reliability_of
from meddiff.evaluation.masks.detections import free_response
from meddiff.evaluation.masks.pairs import (
    MaskFile,
    Matching,
    bare_name,
    check_pair,
    class_indices,
    match_folders,
    read_mask,
)
from meddiff.evaluation.masks.soft_masks import SoftMasks, read_probabilities, soft_masks
from meddiff.evaluation.masks.summary import LOW_DICE
from meddiff.evaluation.rows import distinct
from meddiff.metrics.masks.uncertainty import generalized_energy_distance
from meddiff.reporting import words
from meddiff.segmentation_report import SegmentationReport

TITLES = {"nll": "NLL, nats", "brier": "Brier", "ged": "energy distance to the raters"}


@dataclass
class Soft:
    """Scores of what lies beside one model's masks, while its cases pass by."""

    model: str
    classes: dict[int, str]
    beside: SoftMasks
    raters: Sequence[Matching]
    geometry: bool
    notes: list[str] = field(default_factory=list)
    reliability: list[Reliability] = field(default_factory=list)
    detections: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(
        cls, model: str, folder: Path, pairs: Matching, classes: dict[int, str], raters: Sequence[Matching],
        *, geometry: bool,
    ) -> Soft:  # fmt: skip
        """What there is for every case that has a mask, and a note on what there is for some alone."""
        found, notes, bare = soft_masks(folder), [], [bare_name(case) for case in pairs.pairs]
        kept: dict[str, Any] = {}
        for what in ("probabilities", "members", "uncertainty"):
            values = getattr(found, what)
            there = sum(case in values for case in bare)
            complete = there == len(bare) and not (what == "uncertainty" and pairs.missing)
            kept[what] = values if complete else {}
            if there and not complete:
                cases = len(bare) + len(pairs.missing)
                notes.append(f"{model}: {what} of {there} of {cases} cases were found: not used")
        return cls(model, classes, SoftMasks(**kept), raters, geometry, notes)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Background first."""
        return ("background", *self.classes.values())

    def columns(self, case: str, patient: str, truth: MaskFile, masks: Sequence[np.ndarray]) -> list[dict[str, Any]]:
        """Further columns of a case's rows, one dict per foreground class.

        Args:
            case, patient: as in the table.
            truth: as it is stored.
            masks: class indices of truth and prediction.
        """
        bare, shared = bare_name(case), {}
        if bare in self.beside.uncertainty:
            shared["uncertainty"] = self.beside.uncertainty[bare]
        if bare in self.beside.probabilities:
            probabilities = read_probabilities(self.beside.probabilities[bare], self.class_names, truth)
            shared |= case_calibration(masks[0], probabilities)
            self.reliability.append(reliability_of(masks[0], probabilities))
            counted = free_response(masks[0], probabilities, class_names=self.class_names)
            about = {"model": self.model, "case": case, "patient": patient}
            self.detections += [about | row for row in counted]
        rows = [dict(shared) for _ in self.classes]
        others = [rater.pairs[case][1] for rater in self.raters if case in rater.pairs]
        if others:
            truths = np.stack([masks[0], *(self._indices(path, truth) for path in others)])
            members = self.beside.members.get(bare, [])
            samples = np.stack([self._indices(path, truth) for path in members] or [masks[1]])
            for index, row in enumerate(rows, start=1):
                row["ged"] = generalized_energy_distance(truths == index, samples == index)
        return rows

    def calibration(self) -> pd.DataFrame:
        """The bins of all cases, as `Reliability.to_frame` gives them."""
        pooled = reduce(add, self.reliability) if self.reliability else None
        return pd.DataFrame() if pooled is None else pooled.to_frame(self.model, self.class_names)

    def _indices(self, path: Path, truth: MaskFile) -> np.ndarray:
        mask = read_mask(path)
        check_pair(truth, mask, geometry=self.geometry)
        return class_indices(mask, self.classes)


def raters_of(truth: Path, told: str) -> list[Matching]:
    """The other raters' masks, matched with the truth's.

    Raises:
        InputError: folders that do not match.
    """
    found = [match_folders(truth, Path(folder.strip()).expanduser()) for folder in told.split(",") if folder.strip()]
    if told and not found:
        raise InputError(f"got --raters {told!r}: name folders of other raters' masks, with commas between")
    return found


def show_soft(report: SegmentationReport, console: Console) -> None:
    """A table of what probabilities, uncertainties and members say, where there are any; a column per model."""
    lines: dict[str, dict[str, str]] = {}
    for row in report.calibration_errors.to_dict("records"):
        lines.setdefault("ECE", {})[row["model"]] = words.number(row["ece"])
        lines.setdefault("class-wise ECE", {})[row["model"]] = words.number(row["classwise_ece"])
    for row in report.soft.to_dict("records"):
        name = f"{TITLES[row['metric']]} {row['class_name']}".strip()
        told = f"{words.number(row['mean'])} {words.interval(row['low'], row['high'])}"
        lines.setdefault(name, {})[row["model"]] = told
    for row in report.uncertainty.to_dict("records"):
        told = f"{words.number(row['auroc'])} {words.interval(row['low'], row['high'])}"
        lines.setdefault(f"AUROC of Dice < {LOW_DICE:g}", {})[row["model"]] = told
    if not lines:
        return
    told = {model for line in lines.values() for model in line}
    models = [model for model in distinct(report.summary, "model") if model in told]  # in the order of the table before
    table = Table("", *models, title="probabilities and uncertainty")
    for name, line in lines.items():
        table.add_row(name, *(line.get(model, "") for model in models))
    console.print(table)
