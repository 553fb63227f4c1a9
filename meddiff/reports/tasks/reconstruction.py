"""The report of an autoencoder: its reconstructions beside bicubic interpolation of as many numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from meddiff.evaluation.answers import differences_of, means_of
from meddiff.evaluation.reconstructions import noise_share
from meddiff.evaluation.rows import distinct
from meddiff.metrics.resampling import USUAL, Resampling
from meddiff.reports import tabular
from meddiff.reports.literature import cited
from meddiff.reports.report import Report, Section, present, section_list
from meddiff.reports.tasks import translation
from meddiff.reports.tasks.translation import TranslationResults


@dataclass(frozen=True, kw_only=True)
class ReconstructionResults(TranslationResults):
    """All that the report of an autoencoder shows."""

    latents: pd.DataFrame
    """The channels of the codes: channel, mean, deviation, noise_share."""

    @property
    def headline(self) -> str:
        """The verdict, and what of a code is noise."""
        return (f"{translation.verdict(self)} Of the variance of a drawn code {noise_share(self.latents):.1%} is "
                "noise; its mean is what is stored.")  # fmt: skip


def reconstruction_results(
    *, cases: pd.DataFrame, compared: Sequence[str], resampling: Resampling = USUAL, **shown: Any
) -> ReconstructionResults:
    """Compute means and differences of the table of cases; ``shown`` is shown as it is."""
    return ReconstructionResults(
        cases=cases, compared=compared, means=means_of(cases, resampling=resampling),
        differences=differences_of(cases, compared, resampling=resampling),
        confidence_level=resampling.confidence_level, resamples=resampling.resamples, **shown,
    )  # fmt: skip


def reconstruction_report(results: ReconstructionResults) -> Report:
    """Put the report together; the rows of its cases are a table of their own (cases.csv)."""
    return Report(
        kind="reconstruction",
        title=results.title,
        headline=results.headline,
        phantom=results.phantom,
        sections=section_list(SECTIONS, results),
        methods=cited([*results.methods, *translation.measured(results)]),
        limitations=_limitations(results),
        provenance=results.provenance,
        values={"wanted": results.wanted, "confidence_level": results.confidence_level,
                "resamples": results.resamples, "compared": list(results.compared)},
    )  # fmt: skip


def reconstructions(results: ReconstructionResults) -> Section:
    """Show the autoencoder beside bicubic interpolation."""
    text = (
        "Bicubic interpolation keeps a smaller image, with as many numbers as the code (or a few more), and makes it "
        "as large again. Detail is the power in the finer half of the frequencies against the image's: 0 is as sharp."
    )
    return translation.side_by_side(results, text)


def latents(results: ReconstructionResults) -> Section:
    """Describe the channels of the codes."""
    rows = [{**row, "channel": str(int(row["channel"]))} for row in tabular.records(results.latents)]
    table = tabular.from_records(rows, "Channels of the codes of the test images",
                                 titles={"noise_share": "Share that is noise"})  # fmt: skip
    text = (
        "A denoiser of drawn codes could never foresee their noise: its share of the variance would be a floor of the "
        "loss. So means are stored, and scaled by the deviation of the training images."
    )
    return Section("latents", "The codes", present(text, table), values={"latents": results.latents})


SECTIONS = (reconstructions, translation.differences, translation.gallery, latents, translation.networks)
"""Sections in the order of the page."""


def _limitations(results: ReconstructionResults) -> tuple[str, ...]:
    drawn = "All images were drawn by code: the numbers show that the program works, and say nothing about patients."
    few = len(distinct(results.cases, "patient"))
    return (
        *([drawn] if results.phantom else []),
        *([f"The test images are of {few} {results.group_noun}s: only large differences could be seen."] * (few < 100)),
        "What a code does not keep no model of codes can draw.",
        "Intervals cover other images from the same source, not another training of the network.",
    )
