"""Model cards by the headings of Mitchell et al. 2019, filled in from the run alone.

What the run cannot know (who may use the weights, under which license) is said to be open. The head is the YAML that
the Hugging Face hub reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from meddiff.reports import words
from meddiff.reports.literature import Sentence
from meddiff.reports.report import ModelCard, Part, present

HEADINGS = (
    "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data", "Quantitative analyses",
    "Ethical considerations", "Caveats and recommendations",
)  # fmt: skip
"""Those of Mitchell et al. 2019, "Model cards for model reporting", section 4."""
NO_PATIENTS = "This model was trained on images drawn by code: it shows that the program works, and is of no other use."
NO_DEVICE = "Not for: diagnosis, treatment or any decision about a patient. This is no medical device."
OPEN = (
    "License and contact: for the owner of the weights to set. The license of the training data applies to what is "
    "derived from them."
)


def model_card(title: str, head: Mapping[str, Any], sections: Mapping[str, Sequence[Part | None]]) -> ModelCard:
    """Put sections in the order of HEADINGS; parts that are None or empty were not measured and are left out.

    Raises:
        KeyError: a heading is missing.
    """
    return ModelCard(title, head, tuple((name, present(*sections[name])) for name in HEADINGS))


def card_head(task: str, tag: str, index: Sequence[Mapping[str, Any]], *, phantom: bool) -> dict[str, Any]:
    """Fill in the head: the task of the hub, a tag of ours, and the figures that the hub lists."""
    tags = ["medical-imaging", "diffusion", tag, *(["phantom"] if phantom else [])]
    known = {"license": "unknown", "library_name": "meddiff", "pipeline_tag": task}
    return known | {"tags": tags, "model-index": list(index)}


def described(sentences: Iterable[Sentence]) -> str:
    """Say how the model was made, by the first sentences of the methods paragraph."""
    return " ".join(f"{sentence.text}." for sentence in sentences)


def made_with(environment: Mapping[str, Any]) -> str | None:
    """Say which versions made it, where they are known."""
    if "meddiff" not in environment:
        return None
    return f"Made with meddiff {environment['meddiff']} and torch {environment.get('torch', 'of unknown version')}."


def licenses(provenance: Mapping[str, Any]) -> str | None:
    """Say under which licenses the training images are, where their manifest says so."""
    known = provenance.get("licenses")
    return f"License of the training images, as their manifest says: {words.setting(known)}." if known else None
