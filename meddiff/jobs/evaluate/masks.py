"""The work of ``evaluate masks``: read and score pair by pair, write the tables and the report, print a summary."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
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
from meddiff.evaluation.masks.pairs import (
    MaskFile,
    Matching,
    check_pair,
    images_below,
    match_folders,
    read_as,
)
from meddiff.evaluation.masks.summary import LOW_DICE, of_held_classes
from meddiff.evaluation.rows import rows_where
from meddiff.files.long_tables import write_table
from meddiff.files.writing import output_folder
from meddiff.formats.masks import MaskAt, MaskMeaning, NameRules
from meddiff.formats.masks.reading import Progress
from meddiff.jobs.evaluate.beside_masks import Rater, Soft, raters_of, show_soft
from meddiff.jobs.evaluate.worst_masks import worst_cases
from meddiff.jobs.progress import bar, new_console
from meddiff.jobs.run_facts import versions
from meddiff.metrics.resampling import Resampling
from meddiff.recipe.commands import EvaluateMasks
from meddiff.reports import words
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
    images = images_below(Path(settings.images).expanduser()) if settings.images else {}
    matched = {name: match_folders(truth, folder, images) for name, folder in folders.items()}
    matched = _on_missing(matched, settings.on_missing)
    softs = _softs(settings, folders, matched, images, console)
    scored = [row for soft in softs for row in _scored(soft, matched[soft.model], settings, console)]
    cases = of_held_classes(pd.DataFrame(scored))
    notes = [note for soft in softs for note in _matching_notes(soft.model, matched[soft.model]) + soft.notes]
    main = next(iter(folders))
    gallery = worst_cases(rows_where(cases, cases["model"] == main), matched[main], softs[0], images)
    report = mask_results(
        title=f"Masks of {', '.join(folders)}", cases=cases, baselines=list(folders)[1:], gallery=gallery,
        calibration=pd.concat([soft.calibration() for soft in softs], ignore_index=True),
        detections=pd.DataFrame([row for soft in softs for row in soft.detections]),
        group_noun="patient" if settings.patient else "case",
        resampling=Resampling(settings.resamples, seed=settings.seed),
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
    settings: EvaluateMasks, folders: dict[str, Path], matched: dict[str, Matching], images: Mapping[str, Path],
    console: Console,
) -> list[Soft]:  # fmt: skip
    """Decide what the masks of each folder mean, and see what lies beside those of each model."""
    pairs, show = next(iter(matched.values())), partial(_shown, console=console)
    truths = [*(truth for truth, _ in pairs.pairs.values()), *pairs.missing.values()]
    other_raters = raters_of(Path(settings.truth).expanduser(), settings.raters, images)
    on = read_as([*matched.values(), *other_raters], images)
    rules = NameRules(settings.mask_overlap, settings.mask_missing)

    def meaning(others: Matching, what: str) -> MaskMeaning:
        predictions = [on.get(path, MaskAt.file(path)) for _, path in others.pairs.values()]
        return coding.of_others(predictions, show(what))

    coding = Coding.of(
        settings.classes, [on.get(path, MaskAt.file(path)) for path in truths], show("looking for classes"), rules
    )
    raters = [Rater(others, meaning(others, "looking at raters")) for others in other_raters]
    return [
        Soft.of(
            name, folder, matched[name], coding,
            meaning(matched[name], f"looking at {name}"),
            raters, geometry=not settings.ignore_geometry, on=on,
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
        name: replace(pairs, pairs={case: pair for case, pair in pairs.pairs.items() if case in kept}, missing={})
        for name, pairs in matched.items()
    }


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
        truth, prediction = soft.truth(first), soft.prediction(second)
        check_pair(truth, prediction, geometry=not settings.ignore_geometry)
        masks = [truth.values, prediction.values]
        spacing = _spacing(truth, settings.spacing_mm)
        about = {"model": model, "case": case, "patient": patient_of(case)}
        scores = case_scores(*masks, class_names=names, spacing_mm=spacing, **tolerances)
        more = soft.columns(case, patient_of(case), truth, masks)
        rows += [about | score | columns for score, columns in zip(scores, more, strict=True)]
    for case, path in pairs.missing.items():
        truth = soft.truth(path)
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
    if pairs.several:
        files = sum(map(len, pairs.several.values()))
        notes.append(f"{model}: {words.counted(files, 'file')} of one class each are {len(pairs.several)} masks")
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
            cells = (f"{words.number(row['mean'])} {words.interval_of(row)}"
                     for row in (scored[name, model] for model in models))  # fmt: skip
            table.add_row(METRICS[name].short + (f", {unit}" if unit else ""), *cells)
        dice = [scored["dice", model] for model in models]
        table.add_row(f"Dice < {LOW_DICE:g}", *(words.percent(row["share_below"]) for row in dice))
        held = (f"{row['n_with_class']} of {row['n_cases']}" for row in dice)
        table.add_row("cases with it" if class_name else "cases with any", *held)
        table.add_row("no prediction", *(f"{row['n_failures']} of {row['n_cases']}" for row in dice))
        console.print(table)
