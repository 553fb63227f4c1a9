"""The segmentation's report as a file: it says what the tables say, escapes names, and is written whole."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd
import pytest
from contracts import complaints
from example_segmentation import HOSTILE, MODELS, example_cases, example_content
from test_report import Outline

import meddiff.reports
from meddiff.errors import InputError
from meddiff.evaluation import paired_mask_differences, summary
from meddiff.evaluation.rows import distinct
from meddiff.metrics.resampling import Resampling
from meddiff.reports import words
from meddiff.reports.masks import mask_report
from meddiff.reports.masks_methods import limitations
from meddiff.reports.results import MaskResults, mask_results
from meddiff.reports.write import write_report

DIFFUSION = "Diffusion, 7 members"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    html, plain, *_ = write_report(mask_report(mask_results(**example_content())), folder)
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
    settings = {"resampling": Resampling(300)}
    found = paired_mask_differences(example_cases(), DIFFUSION, "U-Net", **settings)
    row = found[found["class_name"] == ""].iloc[0]
    assert plain["reference"] == "U-Net", "the better of the two baselines"
    assert plain["headline"].startswith(f"{DIFFUSION} is better than the best baseline, U-Net: mean Dice ")
    assert f"{row['difference']:+.3f} with 95% interval {row['low']:+.3f} to {row['high']:+.3f}" in plain["headline"]
    assert "on 60 test cases of 30 patients" in plain["headline"]
    assert html.index("<h1>") < html.index('id="models"')


def test_few_patients_judge_nothing(tmp_path):
    content = example_content()
    patients = sorted(set(content["cases"]["patient"]))
    for count, judged in ((9, False), (10, True)):
        few = content["cases"][content["cases"]["patient"].isin(patients[:count])]
        results = mask_results(**content | {"cases": few, "detections": None, "gallery": ()})
        assert ("cannot be judged on" in results.headline) is not judged
        assert "interval needs at least 10 patients" in results.headline or judged
        html, plain, marked, *_ = write_report(mask_report(results), tmp_path)
        assert results.headline in json.loads(plain.read_text())["headline"]
        assert ("cannot be judged on" in html.read_text()) is not judged
        assert ("cannot be judged on" in marked.read_text()) is not judged


def test_beside_every_dice_stands_what_the_network_took(tmp_path):
    results = mask_results(**example_content())
    names = distinct(results.summary, "model")
    networks = pd.DataFrame({"model": names, "weights": [1_634_000, 22_810_000, 512],
                             "training_seconds": [95.0, 7620.0, float("nan")], "image_size": "96 x 96"})  # fmt: skip
    html, plain, marked, _, card = write_report(mask_report(dataclasses.replace(results, networks=networks)), tmp_path)
    values = json.loads(plain.read_text())["networks"]
    assert [one["weights"] for one in values] == [1_634_000, 22_810_000, 512]
    assert values[2]["training_seconds"] is None
    for row in ("1.63 M | 1 min 35 s | 96 x 96", "22.81 M | 2 h 07 min | 96 x 96", f"512 | {words.ABSENT} | 96 x 96"):
        assert row in marked.read_text()
        assert row in card.read_text()
    for text in (marked.read_text(), card.read_text()):
        tables = [line for line in text.splitlines() if line.startswith("| Model | Dice |")]
        assert tables
        assert all(line.endswith("| Weights | Training | Image |") for line in tables)
    assert "2 h 07 min" in html.read_text()
    assert complaints(json.loads(plain.read_text())) == []


def test_every_model_stands_in_every_comparison(written):
    html, plain = written
    sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', html, re.DOTALL))
    for name in ("models", "numbers", "cases", "uncertainty", "calibration"):
        assert all(model in sections[name] for model in MODELS), name
    means = summary(example_cases(), resampling=Resampling(300))
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
    content = example_content() | {"resampling": Resampling(200), "calibration": None, "gallery": ()}
    cases = content["cases"]
    worse = cases.assign(model=cases["model"].map({"U-Net": DIFFUSION, DIFFUSION: "U-Net", "SegResNet": "SegResNet"}))
    assert "falls short of" in mask_results(**content | {"cases": worse}).headline
    same = cases[cases["model"] == "U-Net"]
    both = pd.concat([same, same.assign(model="copy")])
    undecided = mask_results(**content | {"cases": both, "baselines": ("U-Net",)})
    assert undecided.headline.startswith("No difference between copy and the best baseline, U-Net, was shown")
    alone = mask_results(**content | {"cases": same, "baselines": ()})
    assert "no baseline was scored beside it" in alone.headline
    assert any("No baseline" in text for text in limitations(alone))


def test_a_report_of_cases_alone(tmp_path):
    cases = example_cases().drop(columns="uncertainty")
    cases = cases[cases["class_name"] == "lesion"]
    page, *_ = write_report(mask_report(mask_results(cases=cases, title="Bare", resampling=Resampling(100))), tmp_path)
    html = page.read_text(encoding="utf-8")
    for sentence in ("No model stated how sure", "No probabilities were given", "No pictures were given",
                     "not a baseline and another", "There is one class", "Nothing was told"):  # fmt: skip
        assert sentence in html


def test_no_field_of_the_report_is_unused():
    from pathlib import Path

    files = (Path(meddiff.reports.__path__[0]) / name for name in ("masks.py", "masks_methods.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    for field in dataclasses.fields(MaskResults):
        assert re.search(rf"results\.{field.name}\b", text) or f'"{field.name}"' in text, field.name


def test_bad_input(tmp_path):
    content = example_content()
    with pytest.raises(InputError, match="no cases of the baseline"):
        mask_results(**content | {"baselines": ("nnU-Net",)})
    with pytest.raises(InputError, match="no references nobody2020"):
        mask_results(**content | {"methods": [("Something", ("nobody2020",))]})
    broken = dataclasses.replace(content["gallery"][0], truth=np.zeros((3, 3), int))
    with pytest.raises(InputError, match="all of one size"):
        mask_results(**content | {"gallery": [broken]})
    with pytest.raises(InputError, match="lacks the column"):
        mask_results(**content | {"cases": content["cases"].drop(columns="dice")})
    assert not list(tmp_path.iterdir())
