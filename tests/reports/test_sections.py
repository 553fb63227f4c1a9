"""Every section of every report: it renders to HTML, Markdown and JSON, and says why where there is nothing."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from contracts import check_section
from example_images import example_image_report
from example_report import empty_report, example_findings, example_report
from example_segmentation import example_cases, example_content

from meddiff.metrics.resampling import Resampling
from meddiff.reports import images, masks, study
from meddiff.reports.results import mask_results
from meddiff.reports.tasks import pairs_study, translation


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


@pytest.mark.parametrize("make", translation.SECTIONS, ids=lambda make: make.__name__)
def test_sections_of_a_translation(make):
    generator = np.random.default_rng(0)
    cases = pd.DataFrame([
        {"model": model, "case": f"c{case}", "patient": f"p{case}", "psnr_db": level + generator.normal(), "ssim": 0.9,
         "detail_db": -level / 10, "consistency_db": np.nan, "spread": np.nan}
        for model, level in (("bicubic", 25), ("regression", 28), ("diffusion", 26)) for case in range(20)
    ])  # fmt: skip
    shown = {"title": "T", "wanted": "Resolution x2", "main": "diffusion", "single": "diffusion"}
    networks = pd.DataFrame(
        [{"model": "regression", "weights": 10**6, "training_seconds": 61.0, "image_size": "8 x 8"}]
    )
    pictures = [("<b>", [("known", np.zeros((8, 8), np.uint8)), ("truth", np.zeros((8, 8), np.uint8))])]
    results = translation.translation_results(
        cases=cases, compared=["bicubic", "regression"], resampling=Resampling(100), networks=networks,
        gallery=pictures, **shown,
    )  # fmt: skip
    assert "Resolution x2: diffusion falls short of regression: PSNR 2" in results.headline
    bare = dataclasses.replace(results, networks=networks[:0], gallery=(), differences=results.differences[:0])
    check_section(make(results), None if make is translation.models else make(bare))


@pytest.mark.parametrize("make", pairs_study.SECTIONS, ids=lambda make: make.__name__)
def test_sections_of_a_study_of_pairs(make):
    generator = np.random.default_rng(0)
    gains = {"real": 0.0, "real_synthetic": 0.05}
    cases = pd.DataFrame([
        {"model": model, "size": size, "n_drawn": 7, "seed": seed, "case": f"c{case}", "patient": f"p{case}",
         "dice": 0.7 + size / 1000 + gain * (size < 50) + 0.01 * generator.normal()}
        for model, gain in gains.items() for size in (25, 100) for seed in range(2) for case in range(30)
    ])  # fmt: skip
    results = pairs_study.pair_study_results(
        cases, beside={"real_synthetic": "real"}, resampling=Resampling(200), title="T", chosen="real", seeds=2,
        titles={"real": "Real", "real_synthetic": "Real + <b>"}, network="U-Net", steps=9,
        gallery=[(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))],
    )  # fmt: skip
    assert "No difference was shown beside 100 real pairs (Real): Dice 0.79" in results.headline
    assert "Drawn pairs help beside 25 real pairs (Real): Dice 0.77" in results.headline
    assert "would have been shown in four of five such studies" in results.headline
    ahead = dict(zip(results.differences["size"], results.differences["seeds_better"], strict=True))
    assert ahead[25] == 2, "in both trainings"
    bare = dataclasses.replace(results, gallery=(), differences=results.differences[:0])
    check_section(make(results), None if make is pairs_study.arms else make(bare))
