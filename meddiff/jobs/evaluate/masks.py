"""The work of ``evaluate masks``: read and score pair by pair, write the tables and the report, print a summary.

What ``evaluate masks`` finds beside masks: probabilities, members of an ensemble, uncertainties, other raters.

The worst cases of an evaluation as pictures: outlines on the image where one is given, on gray where none is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from meddiff.errors import InputError
from meddiff.evaluation import case_scores, failed_case_scores
from meddiff.evaluation.masks.cases import METRICS
from meddiff.evaluation.masks.coding import Coding
from meddiff.evaluation.masks.detections import free_response
from meddiff.evaluation.masks.pairs import (
    MaskFile,
    Matching,
    SoftMasks,
    bare_name,
    check_pair,
    masks_below,
    match_folders,
    read_mask,
    read_probabilities,
    soft_masks,
)
from meddiff.evaluation.masks.reliability import Reliability, case_calibration, reliability_of
from meddiff.evaluation.masks.summary import LOW_DICE, of_held_classes
from meddiff.evaluation.rows import distinct, rows_where
from meddiff.files.long_tables import write_table
from meddiff.files.writing import output_folder
from meddiff.formats import load_image
from meddiff.formats.masks import IGNORED, MaskMeaning
from meddiff.formats.masks.reading import Progress
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import is_picture
from meddiff.images.views import as_rgb
from meddiff.jobs.progress import bar, new_console
from meddiff.jobs.run_facts import versions
from meddiff.metrics.masks.uncertainty import generalized_energy_distance
from meddiff.recipe.commands import EvaluateMasks
from meddiff.reports import words
from meddiff.reports.galleries import GalleryCase
from meddiff.reports.masks import mask_report
from meddiff.reports.results import MaskResults, mask_results
from meddiff.reports.write import write_report
from meddiff.run import refuse_run_folder

SHOWN = ("dice", "iou", "hausdorff95", "nsd", "sensitivity", "precision", "lesion_f1")


def run(settings: EvaluateMasks, console: Console | None = None) -> MaskResults:
    """Compute scores, write and print.

    Raises:
        InputError: folders that do not match, masks of different grids or with values that are no class.
    """
    console = console or new_console(markup=True, emoji=True)
    folders = {name: Path(folder).expanduser() for name, folder in _models(settings).items()}
    truth = Path(settings.truth).expanduser()
    out = output_folder(settings.out, [truth, *folders.values()])
    refuse_run_folder(out, "--out")
    matched = {name: match_folders(truth, folder) for name, folder in folders.items()}
    matched = _on_missing(matched, settings.on_missing)
    softs = _softs(settings, folders, matched, console)
    scored = [row for soft in softs for row in _scored(soft, matched[soft.model], settings, console)]
    cases = of_held_classes(pd.DataFrame(scored))
    notes = [note for soft in softs for note in _matching_notes(soft.model, matched[soft.model]) + soft.notes]
    main = next(iter(folders))
    gallery = worst_cases(rows_where(cases, cases["model"] == main), matched[main], softs[0], settings.images)
    report = mask_results(
        title=f"Masks of {', '.join(folders)}", cases=cases, baselines=list(folders)[1:], gallery=gallery,
        calibration=pd.concat([soft.calibration() for soft in softs], ignore_index=True),
        detections=pd.DataFrame([row for soft in softs for row in soft.detections]),
        group_noun="patient" if settings.patient else "case", resamples=settings.resamples, seed=settings.seed,
        provenance=_provenance(settings, softs[0].coding.classes, notes),
    )  # fmt: skip
    written = [*_write_tables(out, cases, report), *write_report(mask_report(report), out)]
    _show(report, console)
    show_soft(report, console)
    for line in (report.headline, *notes):
        console.print(line, highlight=False)
    console.print(f"wrote {', '.join(path.name for path in written)} into {out}", soft_wrap=True)
    return report


def _softs(
    settings: EvaluateMasks, folders: dict[str, Path], matched: dict[str, Matching], console: Console
) -> list[Soft]:
    """Decide what the masks of each folder mean, and see what lies beside those of each model."""
    pairs, show = next(iter(matched.values())), partial(_shown, console=console)
    truths = [*(truth for truth, _ in pairs.pairs.values()), *pairs.missing.values()]
    coding = Coding.of(settings.classes, truths, show("looking for classes"))
    raters = [
        Rater(others, coding.of_others(_predictions(others), show("looking at raters")))
        for others in raters_of(Path(settings.truth).expanduser(), settings.raters)
    ]
    return [
        Soft.of(
            name, folder, matched[name], coding,
            coding.of_others(_predictions(matched[name]), show(f"looking at {name}")),
            raters, geometry=not settings.ignore_geometry,
        )
        for name, folder in folders.items()
    ]  # fmt: skip


def _provenance(settings: EvaluateMasks, classes: dict[int, str], notes: list[str]) -> dict[str, Any]:
    named = {str(value): name for value, name in classes.items()}
    return {"options": asdict(settings), "classes": named, "matching": notes, "versions": versions()}


def _write_tables(out: Path, cases: pd.DataFrame, report: MaskResults) -> list[Path]:
    tables = {"cases": cases, "summary": report.summary, "froc": report.free_response, "probabilities": report.soft}
    files = {out / f"{name}.csv": table for name, table in tables.items() if len(table)}
    for file, table in files.items():
        write_table(table, file)
    return list(files)


def _models(settings: EvaluateMasks) -> dict[str, str]:
    """Name -> folder: the model first, then what it is compared with."""
    folders = [settings.prediction, *([settings.against] if settings.against else [])]
    names = settings.names.split(",") if settings.names else [Path(folder).resolve().name for folder in folders]
    names = ["prediction", "against"][: len(folders)] if len(set(names)) < len(names) else names
    if len(names) != len(folders):
        raise InputError(
            f"got --names {settings.names!r} for {words.counted(len(folders), 'model')}: give one name each"
        )
    return dict(zip((name.strip() for name in names), folders, strict=True))


def _on_missing(matched: dict[str, Matching], how: str) -> dict[str, Matching]:
    """Keep missing predictions as failures, or leave such cases out, for all models alike."""
    if how == "fail":
        return matched
    kept = set.intersection(*(set(pairs.pairs) for pairs in matched.values()))
    return {
        name: Matching(
            {case: pair for case, pair in pairs.pairs.items() if case in kept}, {}, pairs.extra, pairs.renamed
        )
        for name, pairs in matched.items()
    }


def _predictions(pairs: Matching) -> list[Path]:
    return [prediction for _, prediction in pairs.pairs.values()]


def _shown(what: str, console: Console) -> Progress:
    """Make a bar around the reading of masks."""
    return bar(console, what, unit="masks", stays=False)


def _scored(soft: Soft, pairs: Matching, settings: EvaluateMasks, console: Console) -> list[dict[str, Any]]:
    """Return rows of the long table; one line of it per case and class."""
    model, names = soft.model, soft.class_names
    patient_of = _patient(settings.patient)
    tolerances = {"tolerance_mm": settings.tolerance_mm, "tolerance_px": settings.tolerance_px}
    rows, shown = [], bar(console, f"scoring {model}", unit="cases", stays=False)
    for case, (first, second) in shown(pairs.pairs.items(), len(pairs.pairs)):
        truth, prediction = read_mask(first, soft.coding.truth), read_mask(second, soft.meaning)
        check_pair(truth, prediction, geometry=not settings.ignore_geometry)
        masks = [truth.values, prediction.values]
        spacing = _spacing(truth, settings.spacing_mm)
        about = {"model": model, "case": case, "patient": patient_of(case)}
        scores = case_scores(*masks, class_names=names, spacing_mm=spacing, **tolerances)
        more = soft.columns(case, patient_of(case), truth, masks)
        rows += [about | score | columns for score, columns in zip(scores, more, strict=True)]
    for case, path in pairs.missing.items():
        truth = read_mask(path, soft.coding.truth)
        about = {"model": model, "case": case, "patient": patient_of(case)}
        spacing = _spacing(truth, settings.spacing_mm)
        failed = failed_case_scores(truth.values, class_names=names, spacing_mm=spacing,
                                    failure="no prediction")  # fmt: skip
        unit = "px" if spacing is None else "mm"
        rows += [about | row | {"tolerance": tolerances[f"tolerance_{unit}"]} for row in failed]
    return sorted(rows, key=lambda row: row["case"])


def _spacing(truth: MaskFile, said: str) -> tuple[float, ...] | None:
    """Read the spacing of the file, or take the one given where the file says nothing."""
    if not said:
        return truth.spacing_mm
    try:
        spacing = tuple(float(part) for part in said.split(","))
    except ValueError:
        spacing = ()
    if len(spacing) != truth.values.ndim or not all(0 < edge < np.inf for edge in spacing):
        axes = words.counted(truth.values.ndim, "positive number")
        raise InputError(f"got --spacing-mm {said!r} for {truth.path}: give {axes}, with commas between")
    if truth.spacing_mm is not None and not np.allclose(spacing, truth.spacing_mm, rtol=1e-3):
        raise InputError(f"{truth.path} says its spacing is {truth.spacing_mm} mm, --spacing-mm {said}: leave that out")
    return spacing


def _patient(pattern: str) -> Callable[[str], str]:
    if not pattern:
        return str
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"--patient {pattern!r} is no regular expression: {error}") from error

    def of(case: str) -> str:
        hit = compiled.search(case)
        if hit is None:
            raise InputError(f"--patient {pattern!r} is not found in the case name {case!r}: write one that all have")
        return hit.group(1 if compiled.groups else 0)

    return of


def _matching_notes(model: str, pairs: Matching) -> list[str]:
    """Say how files found each other, and what was left over."""
    alike = f", {pairs.renamed} of them by the name without its ending (_mask, _seg ...)" if pairs.renamed else ""
    notes = [f"{model}: {words.counted(len(pairs.pairs), 'pair')}{alike}"]
    for what, paths in (
        ("truth without prediction", [*pairs.missing.values()]),
        ("prediction without truth", pairs.extra),
    ):
        if paths:
            named = ", ".join(path.name for path in paths[:5]) + (" ..." if len(paths) > 5 else "")
            notes.append(f"{model}: {words.counted(len(paths), what)} ({named})")
    return notes


def _show(report: MaskResults, console: Console) -> None:
    """Print a table per class with the models side by side."""
    summary = report.summary
    for class_name in dict.fromkeys(summary["class_name"]):
        rows = rows_where(summary, summary["class_name"] == class_name).to_dict("records")
        scored = {(row["metric"], row["model"]): row for row in rows}
        models = list(dict.fromkeys(row["model"] for row in rows))
        table = Table(title=f"{class_name or 'all classes'}: means over the cases, 95% intervals")
        for name in ("", *map(str, models)):
            table.add_column(name)
        for name in SHOWN:
            unit = scored[name, models[0]]["unit"]
            cells = (f"{words.number(row['mean'])} {words.interval(row['low'], row['high'])}"
                     for row in (scored[name, model] for model in models))  # fmt: skip
            table.add_row(METRICS[name].short + (f", {unit}" if unit else ""), *cells)
        dice = [scored["dice", model] for model in models]
        table.add_row(f"Dice < {LOW_DICE:g}", *(words.percent(row["share_below"]) for row in dice))
        held = (f"{row['n_with_class']} of {row['n_cases']}" for row in dice)
        table.add_row("cases with it" if class_name else "cases with any", *held)
        table.add_row("no prediction", *(f"{row['n_failures']} of {row['n_cases']}" for row in dice))
        console.print(table)


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
    notes: list[str] = field(default_factory=list)
    reliability: list[Reliability] = field(default_factory=list)
    detections: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(
        cls, model: str, folder: Path, pairs: Matching, coding: Coding, meaning: MaskMeaning, raters: Sequence[Rater],
        *, geometry: bool,
    ) -> Soft:  # fmt: skip
        """Find what every case with a mask has, and note what only some have."""
        soft, notes, bare = soft_masks(folder), [], [bare_name(case) for case in pairs.pairs]
        kept: dict[str, Any] = {}
        for what in ("probabilities", "members", "uncertainty"):
            values = getattr(soft, what)
            there = sum(case in values for case in bare)
            complete = there == len(bare) and not (what == "uncertainty" and pairs.missing)
            kept[what] = values if complete else {}
            if there and not complete:
                cases = len(bare) + len(pairs.missing)
                notes.append(f"{model}: {what} of {there} of {cases} cases were found: not used")
        return cls(model, coding, meaning, SoftMasks(**kept), raters, geometry, notes)

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
            probabilities = read_probabilities(self.beside.probabilities[bare], self.class_names, truth)
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

    def calibration(self) -> pd.DataFrame:
        """Return the bins of all cases, as `Reliability.to_frame` gives them."""
        pooled = reduce(add, self.reliability) if self.reliability else None
        return pd.DataFrame() if pooled is None else pooled.to_frame(self.model, self.class_names)

    def _indices(self, path: Path, meaning: MaskMeaning, truth: MaskFile) -> np.ndarray:
        mask = read_mask(path, meaning)
        check_pair(truth, mask, geometry=self.geometry)
        return mask.values


def raters_of(truth: Path, folders: str) -> list[Matching]:
    """Return the other raters' masks, matched with the truth's.

    Raises:
        InputError: folders that do not match.
    """
    matched = [
        match_folders(truth, Path(folder.strip()).expanduser()) for folder in folders.split(",") if folder.strip()
    ]
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
        cell = f"{words.number(row['mean'])} {words.interval(row['low'], row['high'])}"
        lines.setdefault(name, {})[row["model"]] = cell
    for row in report.uncertainty.to_dict("records"):
        cell = f"{words.number(row['auroc'])} {words.interval(row['low'], row['high'])}"
        lines.setdefault(f"AUROC of Dice < {LOW_DICE:g}", {})[row["model"]] = cell
    if not lines:
        return
    scored = {model for line in lines.values() for model in line}
    models = [model for model in distinct(report.summary, "model") if model in scored]  # as in the table before
    table = Table("", *models, title="probabilities and uncertainty")
    for name, line in lines.items():
        table.add_row(name, *(line.get(model, "") for model in models))
    console.print(table)


COUNT = 6
GROUND = 70  # gray under outlines without an image
PERCENTILES = (0.5, 99.5)


def worst_cases(cases: pd.DataFrame, pairs: Matching, soft: Soft, images: str) -> list[GalleryCase]:
    """Return the lowest Dice (mean over the classes) among the cases that have a prediction."""
    means: Any = cases.groupby("case")["dice"].mean()
    dice = means.sort_values(kind="stable")
    pictures = masks_below(Path(images).expanduser()) if images else {}
    pictures = {bare_name(name): path for name, path in pictures.items()} | pictures
    shown = []
    for case in [name for name in dice.index if name in pairs.pairs][:COUNT]:
        first, second = pairs.pairs[str(case)]
        pair = read_mask(first, soft.coding.truth).values, read_mask(second, soft.meaning).values
        truth, prediction = (np.where(mask == IGNORED, 0, mask) for mask in pair)
        image = _image(pictures.get(str(case)) or pictures.get(bare_name(str(case))), truth.shape)
        place = ""
        if truth.ndim == 3:
            axis, index = _largest_slice(truth, prediction)
            place = f", slice {index} of axis {axis}"
            truth, prediction = (np.take(mask, index, axis=axis) for mask in (truth, prediction))
            image = image if image is None else np.take(image, index, axis=axis)
        ground = np.full(truth.shape, GROUND, np.uint8) if image is None else as_rgb(image)
        caption = f"Dice {dice[case]:.3f}{place}"
        shown.append(GalleryCase(str(case), caption, ground, truth, prediction, group="Lowest Dice"))
    return shown


def _image(path: Path | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Return uint8 of the mask's shape (and color), or None where there is none or it is of another grid."""
    if path is None:
        return None
    values = load_image(path) if is_picture(path) else np.squeeze(load_volume(path).array)
    if values.shape[: len(shape)] != shape or values.ndim > len(shape) + 1:
        return None
    if values.dtype == np.uint8:
        return values
    low, high = np.percentile(values[np.isfinite(values)], PERCENTILES)
    scaled = (np.nan_to_num(values.astype(np.float64)) - low) / max(float(high - low), 1e-9)
    return np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def _largest_slice(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int]:
    """Choose, across the axis of fewest slices, the one where truth and prediction differ most, or show most."""
    axis = int(np.argmin(truth.shape))
    others = tuple(other for other in range(3) if other != axis)
    apart = np.count_nonzero(truth != prediction, axis=others)
    whole = np.count_nonzero((truth > 0) | (prediction > 0), axis=others)
    return axis, int(np.argmax(apart if apart.any() else whole))
