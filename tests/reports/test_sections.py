"""Every section of every report: it renders to HTML, Markdown and JSON, and says why where there is nothing."""

import dataclasses

import pandas as pd
import pytest
from contracts import check_section
from example_images import example_image_report
from example_report import empty_report, example_findings, example_report
from example_segmentation import example_cases, example_content

from meddiff.metrics.resampling import Resampling
from meddiff.reports import images, masks, study
from meddiff.reports.results import mask_results


@pytest.mark.parametrize("make", study.SECTIONS, ids=lambda make: make.__name__)
def test_sections_of_a_study(make):
    check_section(make(example_report()), make(empty_report()))


@pytest.mark.parametrize("make", masks.SECTIONS, ids=lambda make: make.__name__)
def test_sections_of_a_segmentation(make):
    cases = example_cases().drop(columns="uncertainty")
    bare = mask_results(cases=cases[cases["class_name"] == "lesion"], title="Bare", resampling=Resampling(100))
    if make is masks.detection:  # the example has none
        lines = [{"class_name": "lesion", "model": "U-Net", "invented_per_image": x, "sensitivity": x / 4}
                 for x in (0.0, 1.0, 2.0)]  # fmt: skip
        lesions = pd.DataFrame(lines)
        check_section(make(dataclasses.replace(bare, free_response=lesions)), make(bare))
        return
    if make is masks.audited:
        check_section(make(dataclasses.replace(bare, findings=example_findings())), make(bare))
        return
    always = make in (masks.models, masks.metrics, masks.cases)
    check_section(make(mask_results(**example_content())), None if always else make(bare))


@pytest.mark.parametrize("make", images.SECTIONS, ids=lambda make: make.__name__)
def test_sections_of_an_evaluation_of_images(make):
    results = example_image_report()
    nothing = {name: [] for name in ("nearest", "held_out_nearest", "real", "synthetic")}
    nothing |= {"copies": pd.DataFrame(), "statistics": pd.DataFrame()}
    always = make in (images.measures, images.every_figure)
    check_section(make(results), None if always else make(dataclasses.replace(results, **nothing)))


def test_an_anchor_is_used_once_and_every_key_stands_in_one_section():
    for sections in (study.study_report(example_report()).sections,
                     masks.mask_report(mask_results(**example_content())).sections,
                     images.image_report(example_image_report()).sections):  # fmt: skip
        anchors = [section.anchor for section in sections]
        keys = [key for section in sections for key in section.values]
        assert len(anchors) == len(set(anchors))
        assert len(keys) == len(set(keys))
