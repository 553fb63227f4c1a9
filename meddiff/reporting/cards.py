"""What the model cards of our two kinds of models say, from what their reports hold."""

from __future__ import annotations

from typing import Any

from meddiff.evaluation.rows import distinct
from meddiff.reporting import tables, words
from meddiff.reporting.bibliography import Methods
from meddiff.reporting.content import AugmentationReport
from meddiff.reporting.model_card import OPEN, ModelCard, described, model_card
from meddiff.reporting.segmentation_content import SegmentationReport
from meddiff.reporting.segmentation_page import overall_name
from meddiff.reporting.tables import Table

NO_PATIENTS = "This model was trained on images drawn by code: it shows that the program works, and is of no other use."
NO_DEVICE = "Not for: diagnosis, treatment or any decision about a patient. This is no medical device."
HEAD = {"license": "unknown", "library_name": "meddiff"}
GENERATOR_SENTENCES = 6  # of the methods paragraph of a study are about the generator


def study_card(report: AugmentationReport, content: dict[str, Any]) -> ModelCard | None:
    """The card of a study's generator; ``content`` is what the page shows. None where no recipe was given."""
    if not report.recipe:
        return None
    methods: Methods = content["methods"]
    classes = ", ".join(gallery.class_name for gallery in report.galleries)
    distances = [row for row in tables.records(report.distances)
                 if "synthetic" in row["comparison"] and not words.is_missing(row["value"])]  # fmt: skip
    head = HEAD | {
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["medical-imaging", "diffusion", "synthetic-data", *(["phantom"] if report.phantom else [])],
        "model-index": [{"name": _name(report), "results": [{
            "task": {"type": "unconditional-image-generation"},
            "dataset": {"name": str(report.recipe.get("dataset", "")), "type": str(report.recipe.get("dataset", ""))},
            "metrics": [{"type": row["metric"], "name": f"{words.in_words(row['metric'])}, {row['comparison']}",
                         "value": float(row["value"])} for row in distances],
        }]}],
    }  # fmt: skip
    study = content["study"]
    return model_card(report.title, head, {
        "Model details": [described(methods, GENERATOR_SENTENCES), _made(report.environment),
                          "The weights are in checkpoints/ of the run folder, with the recipe beside them.", OPEN],
        "Intended use": [NO_PATIENTS if report.phantom else None,
                         "For: research on training data, such as adding synthetic images to the training set of a "
                         "classifier that is then tested on real images.", NO_DEVICE,
                         "Not for: images that are passed off as a patient's, or sharing in the belief that synthetic "
                         "images are anonymous."],
        "Factors": [f"Classes that it was told: {classes}." if classes else None, *study.class_tables[:1]],
        "Metrics": ["Whether classifiers trained with its images do better on real test images, distances between sets "
                    "of images beside those of real sets, and how near its images come to the training images."],
        "Evaluation data": ["The test split, of the same source as the training images.", report.split_note],
        "Training data": [content["data_table"], _licenses(report.provenance)],
        "Quantitative analyses": [report.headline, study.arms_table, content["distances_table"]],
        "Ethical considerations": [
            "A diffusion model can give away images that it was trained on. How near the drawn images are to training "
            "images, beside held-out real images:", content["copies_table"],
            "What is rare in the training images is rarer or wrong in the drawn ones: groups that are small in the "
            "data are served worst."],
        "Caveats and recommendations": [tuple(content["limitations"])],
    })  # fmt: skip


def segmentation_card(report: SegmentationReport, content: dict[str, Any]) -> ModelCard | None:
    """The card of a segmentation model; None where masks of unknown make were scored."""
    if not report.methods:
        return None
    overall = overall_name(report.summary)
    dice = [row for row in tables.records(report.summary) if (row["class_name"], row["metric"]) == (overall, "dice")]
    head = HEAD | {
        "pipeline_tag": "image-segmentation",
        "tags": ["medical-imaging", "diffusion", "segmentation", *(["phantom"] if report.phantom else [])],
        "model-index": [{"name": str(row["model"]), "results": [{
            "task": {"type": "image-segmentation"}, "dataset": {"name": report.title, "type": "test split"},
            "metrics": [{"type": "dice", "name": "mean Dice", "value": float(row["mean"])}],
        }]} for row in dice if not words.is_missing(row["mean"])],
    }  # fmt: skip
    count = len(report.methods)
    counts: Table | None = content["counts"]
    return model_card(report.title, head, {
        "Model details": [described(content["methods"], count), _made(report.provenance.get("environment", {})),
                          "The weights are in models/ of the run folder.", OPEN],
        "Intended use": [NO_PATIENTS if report.phantom else None,
                         "For: research on segmentation and its uncertainty, with a person who looks at every mask.",
                         NO_DEVICE],
        "Factors": [f"Classes: {', '.join(name for name in distinct(report.summary, 'class_name') if name)}.",
                    "Cases that the model is least sure of are named by its uncertainty; how far that can be trusted "
                    "is measured below."],
        "Metrics": ["Dice, IoU, distances of surfaces and lesion-wise F1, with empty and failed cases counted; "
                    "calibration of the probabilities; how well the uncertainty of a case finds the failures."],
        "Evaluation data": [f"{words.counted(len(distinct(report.cases, 'case')), 'test case')} of "
                            f"{words.counted(len(distinct(report.cases, 'patient')), report.group_noun)}, of the same "
                            "source as the training images unless the title says otherwise."],
        "Training data": [_digest(report.provenance), _licenses(report.provenance)],
        "Quantitative analyses": [report.headline, content["table"], counts, content["uncertainty_table"],
                                  content["calibration_table"]],
        "Ethical considerations": ["A mask that looks right can be wrong, and failures are not spread evenly over "
                                   "patients: look at the worst cases of the report before any use."],
        "Caveats and recommendations": [tuple(content["limitations"])],
    })  # fmt: skip


def _name(report: AugmentationReport) -> str:
    return f"{report.recipe.get('dataset', 'study')} generator"


def _made(environment: dict[str, Any]) -> str | None:
    if "meddiff" not in environment:
        return None
    return f"Made with meddiff {environment['meddiff']} and torch {environment.get('torch', 'of unknown version')}."


def _licenses(provenance: dict[str, Any]) -> str | None:
    found = provenance.get("licenses")
    return f"License of the training images, as their manifest says: {words.setting(found)}." if found else None


def _digest(provenance: dict[str, Any]) -> str | None:
    found = provenance.get("manifest")
    return f"The rows with the split train of the run's manifest.csv (SHA-256 begins with {found})." if found else None
