"""The segmentation's report as a file: it says what the tables say, escapes names, and is written whole."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from example_segmentation import HOSTILE, MODELS, example_cases, example_content
from test_report import Outline

from meddiff.errors import InputError
from meddiff.evaluation import paired_mask_differences, summary
from meddiff.reporting.gallery import GalleryCase, colored, outlined, resized, tiles
from meddiff.reporting.plot import Series, dice_histogram, lines_plot
from meddiff.reporting.segmentation_content import SegmentationReport
from meddiff.reporting.segmentation_methods import limitations
from meddiff.segmentation_report import segmentation_report, write_segmentation_report

DIFFUSION = "Diffusion, 7 members"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    html, plain, *_ = write_segmentation_report(folder, **example_content())
    names = ["model_card.md", "references.bib", "report.html", "report.json", "report.md"]
    assert sorted(path.name for path in folder.iterdir()) == names, "no temporary file stays"
    return html.read_text(encoding="utf-8"), json.loads(plain.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def outline(written):
    outline = Outline()
    outline.feed(written[0])
    assert outline.open == [], "every tag is closed"
    return outline


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_headline_is_the_paired_difference(written):
    html, plain = written
    settings = {"resamples": 300}
    found = paired_mask_differences(example_cases(), DIFFUSION, "U-Net", **settings)
    row = found[found["class_name"] == ""].iloc[0]
    assert plain["reference"] == "U-Net", "the better of the two baselines"
    assert plain["headline"].startswith(f"{DIFFUSION} is better than the best baseline, U-Net: mean Dice ")
    assert f"{row['difference']:+.3f} with 95% interval {row['low']:+.3f} to {row['high']:+.3f}" in plain["headline"]
    assert "on 60 test cases of 30 patients" in plain["headline"]
    assert html.index("<h1>") < html.index('id="models"')


def test_every_model_stands_in_every_comparison(written):
    html, plain = written
    sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', html, re.DOTALL))
    for name in ("models", "cases", "uncertainty", "calibration"):
        assert all(model in sections[name] for model in MODELS), name
    means = summary(example_cases(), resamples=300)
    for row in means[(means["metric"] == "dice") & (means["class_name"] == "")].to_dict("records"):
        assert f"{row['mean']:.3f}" in text_of(sections["models"])
    assert {row["model"] for row in plain["summary"]} == set(MODELS)
    assert [row["model"] for row in plain["calibration_errors"]] == list(MODELS)


def test_failures_are_named(written):
    html, plain = written
    counted = {row["model"]: row for row in plain["summary"] if row["metric"] == "dice" and row["class_name"] == ""}
    assert counted["SegResNet"]["n_failures"] == 1
    assert counted["U-Net"]["n_both_empty"] > 0
    assert "false alarm" in text_of(html)


def test_the_page_asks_nobody_for_anything(written, outline):
    assert not [address for address in outline.addresses if not address.startswith(("data:", "#"))]
    assert "http://" not in written[0]
    assert len(outline.ids) == len(set(outline.ids))
    anchors = {address[1:] for address in outline.addresses if address.startswith("#")}
    assert anchors <= set(outline.ids)


def test_a_hostile_class_name_is_text(written):
    assert HOSTILE not in written[0]
    assert written[0].count("<script>") == 1
    assert "&lt;script&gt;document.title" in written[0]


def test_a_phantom_run_is_stamped(written, outline):
    assert "Phantom run." in written[0]
    assert all(figure.startswith("phantom") for figure in outline.figures)


def test_json_is_plain(written):
    plain = written[1]
    assert (plain["format"], plain["format_version"]) == ("meddiff segmentation report", 1)
    assert plain["provenance"]["recipe"]["seed"] == 7
    assert len(plain["gallery"]) == 5
    assert {row["class_name"] for row in plain["calibration"]} == {"", "background", "lesion", HOSTILE}


def test_sentences_for_worse_and_for_undecided_and_for_no_baseline():
    content = example_content() | {"resamples": 200, "calibration": None, "gallery": ()}
    cases = content["cases"]
    worse = cases.assign(model=cases["model"].map({"U-Net": DIFFUSION, DIFFUSION: "U-Net", "SegResNet": "SegResNet"}))
    assert "falls short of" in segmentation_report(**content | {"cases": worse}).headline
    same = cases[cases["model"] == "U-Net"]
    both = pd.concat([same, same.assign(model="copy")])
    undecided = segmentation_report(**content | {"cases": both, "baselines": ("U-Net",)})
    assert undecided.headline.startswith("No difference between copy and the best baseline, U-Net, was shown")
    alone = segmentation_report(**content | {"cases": same, "baselines": ()})
    assert "no baseline was scored beside it" in alone.headline
    assert any("No baseline" in text for text in limitations(alone))


def test_a_report_of_cases_alone(tmp_path):
    cases = example_cases().drop(columns="uncertainty")
    cases = cases[cases["class_name"] == "lesion"]
    page, *_ = write_segmentation_report(tmp_path, cases=cases, title="Bare", resamples=100)
    html = page.read_text(encoding="utf-8")
    for sentence in ("No model stated how sure", "No probabilities were given", "No pictures were given",
                     "not a baseline and another", "There is one class", "Nothing was told"):  # fmt: skip
        assert sentence in html


def test_no_field_of_the_report_is_unused():
    from pathlib import Path

    folder = Path(__file__).parents[1] / "meddiff"
    files = [*(folder / "reporting").glob("segmentation*"), folder / "segmentation_report.py"]
    text = "".join(file.read_text(encoding="utf-8") for file in files if file.name != "segmentation_content.py")
    for field in dataclasses.fields(SegmentationReport):
        assert re.search(rf"report\.{field.name}\b", text) or f'"{field.name}"' in text, field.name


def test_tiles_by_pencil():
    image = np.full((4, 6), 200, np.uint8)
    truth = np.zeros((4, 6), int)
    truth[1:3, 1:4] = 1
    case = GalleryCase("a", "", image, truth, 0 * truth, truth * 0.5)
    found = dict(tiles(case, 0.5))
    assert list(found) == ["Image", "Truth", "Prediction", "Uncertainty"]
    assert {picture.shape for picture in found.values()} == {(152, 228, 3)}, "38 times 4 x 6"
    assert (found["Prediction"] == found["Image"]).all(), "nothing is outlined where nothing is predicted"
    inside = found["Truth"][38:114, 38:152]
    assert (inside[0] == (64, 224, 208)).all()
    assert (inside[38, 57] == 200).all(), "the middle stays free"
    assert (found["Uncertainty"][76, 76] == colored(np.array([[0.5]]), 0.5)).all()
    assert len(tiles(dataclasses.replace(case, uncertainty=None), 0.0)) == 3


def test_large_pictures_are_brought_down_and_masks_stay_masks():
    mask = np.zeros((900, 600), np.uint8)
    mask[100:500, 100:300] = 3
    small = resized(mask, smooth=False)
    assert small.shape == (448, 299)
    assert set(np.unique(small)) == {0, 3}
    assert outlined(np.zeros((448, 299, 3), np.uint8), small).any()


def test_plots_by_pencil():
    plot = lines_plot("p", [Series("a", np.array([0.0, 1.0]), np.array([0.0, 2.0]), dots=True)], x_title="x",
                      y_title="y", x_domain=(0, 1), y_domain=(0, 4))  # fmt: skip
    assert plot.lines[0].points == "0.00,100.00 100.00,50.00"
    assert plot.lines[0].dots == ((0.0, 100.0), (100.0, 50.0))
    bars = dice_histogram("h", np.array([0.0, 0.79, 0.8, 1.0, 1.0]), failed_below=0.8)
    heights = {round(x): height for x, _, height, _, _ in bars.bars if height}
    assert heights == {0: 50, 75: 50, 80: 50, 95: 100}
    assert [failed for x, _, _, failed, _ in bars.bars if round(x) in (75, 80)] == [True, False]
    assert "2 of 5 cases under 0.8" in bars.note


def test_bad_input(tmp_path):
    content = example_content()
    with pytest.raises(InputError, match="no cases of the baseline"):
        write_segmentation_report(tmp_path, **content | {"baselines": ("nnU-Net",)})
    with pytest.raises(InputError, match="no references nobody2020"):
        write_segmentation_report(tmp_path, **content | {"methods": [("Something", ("nobody2020",))]})
    broken = dataclasses.replace(content["gallery"][0], truth=np.zeros((3, 3), int))
    with pytest.raises(InputError, match="all of one size"):
        write_segmentation_report(tmp_path, **content | {"gallery": [broken]})
    with pytest.raises(InputError, match="lacks the column"):
        write_segmentation_report(tmp_path, **content | {"cases": content["cases"].drop(columns="dice")})
    assert not list(tmp_path.iterdir())
