"""The files beside the page: they say the same, keep to their schema, and cite what was used and nothing else."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from contracts import complaints, report_schema
from example_report import HOSTILE, example_report
from example_segmentation import example_content
from jsonschema import Draft202012Validator

import meddiff.reports
from meddiff.jobs.generate.report import alternatives
from meddiff.recipe import Recipe, SynthesisRecipe, to_dict
from meddiff.reports.literature import cited, literature
from meddiff.reports.masks import mask_report
from meddiff.reports.report import HEADINGS, card_head, license_of, model_card
from meddiff.reports.results import mask_results
from meddiff.reports.study import study_report
from meddiff.reports.study_methods import methods
from meddiff.reports.write import as_card, write_report


@pytest.fixture(scope="module", params=["study", "segmentation"])
def folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    if request.param == "study":
        write_report(study_report(example_report()), folder)
    else:
        write_report(mask_report(mask_results(**example_content())), folder)
    return folder


@pytest.fixture(scope="module")
def plain(folder):
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_the_json_keeps_to_the_schema_that_it_names(plain):
    Draft202012Validator.check_schema(report_schema())
    assert plain["$schema"] == report_schema()["$id"]
    assert complaints(plain) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plain: plain.pop("headline"),
        lambda plain: plain.update(format="another report"),
        lambda plain: plain.update(a_table_that_the_schema_does_not_describe=[]),
        lambda plain: plain.update(phantom="yes"),
        lambda plain: plain["methods"][0].update(citations=["ho2020"]),
        lambda plain: plain["differences"][0].update(difference="better"),
    ],
)
def test_the_schema_refuses_what_is_no_report(plain, spoil):
    spoiled = json.loads(json.dumps(plain))
    spoil(spoiled)
    assert complaints(spoiled)


def test_the_markdown_says_what_the_page_says(folder, plain):
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert plain["headline"] in text
    assert "Phantom run." in text
    assert all(f"- {line}" in html.unescape(text) for line in plain["limitations"])
    assert all(line in html.unescape(text) for line in plain["references"])
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) > 10
    assert "<script>" not in text
    assert HOSTILE.split("=")[0].replace("<", "&lt;").replace(">", "&gt;") in text


def test_the_references_are_those_of_the_methods(folder, plain):
    bibtex = (folder / "references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{(\w+),$", bibtex, re.MULTILINE)
    assert [literature()[key].text for key in keys] == plain["references"]
    used = {number for sentence in plain["methods"] for number in sentence["citations"]}
    assert used == set(range(1, len(keys) + 1))
    assert bibtex.replace("&", "&amp;").strip() in (folder / "report.html").read_text(encoding="utf-8")


def test_the_card_has_the_usual_headings_and_a_head_that_yaml_reads(folder, plain):
    text = (folder / "model_card.md").read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    read = yaml.safe_load(head)
    assert read["library_name"] == "meddiff"
    assert "phantom" in read["tags"]
    metrics = [metric for model in read["model-index"] for found in model["results"] for metric in found["metrics"]]
    assert metrics
    assert all(isinstance(metric["value"], float) for metric in metrics)
    assert re.findall(r"^## (.+)$", body, re.MULTILINE) == list(HEADINGS)
    assert plain["headline"] in body
    assert "drawn by code" in body
    assert "<script>" not in body
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(f"<h3>{heading}</h3>" in page for heading in HEADINGS)


def head_of(task: str, license: str = "") -> dict:
    """The head of a card, as it is read from the file."""
    index = [{"name": "a", "results": []}]
    head = card_head(task, ["tag"], index, phantom=False, license=license)
    card = model_card("a", head, {heading: [license_of(license)] for heading in HEADINGS})
    return yaml.safe_load(as_card(card).split("---\n")[1])


@pytest.mark.parametrize(
    ("license", "known"),
    [("", {"license": "unknown"}), ("MIT", {"license": "mit"}), (" CC-BY-NC-4.0 ", {"license": "cc-by-nc-4.0"}),
     ("ask me", {"license": "other", "license_name": "ask me"})],
)  # fmt: skip
def test_the_license_of_the_weights_is_what_was_said(license, known):
    head = head_of("image-segmentation", license)
    assert {name: value for name, value in head.items() if name.startswith("license")} == known
    assert ("unknown; their owner sets it (--license)" in license_of(license)) is (not license)


def test_the_task_of_a_card_is_one_that_the_hub_has():
    for task in ("image-segmentation", "unconditional-image-generation"):
        assert head_of(task)["pipeline_tag"] == task
    assert "pipeline_tag" not in head_of("class-conditional-image-generation")


def test_the_card_of_a_generator_says_whether_it_is_conditional_and_whose_features_its_distance_has():
    study_results = example_report()
    card = yaml.safe_load(as_card(study_report(study_results).card).split("---\n")[1])
    assert "class-conditional-image-generation" in card["tags"]
    (model,) = card["model-index"]
    assert {one["task"]["type"] for one in model["results"]} == {"class-conditional-image-generation"}
    assert {one["dataset"]["name"] for one in model["results"]} == {"phantom"}, "what it was trained on"
    metrics = [metric for one in model["results"] for metric in one["metrics"]]
    assert metrics
    assert all("features: classifier" in metric["name"] for metric in metrics)
    alone = replace(study_results, galleries=study_results.galleries[:1])
    card = yaml.safe_load(as_card(study_report(alone).card).split("---\n")[1])
    assert card["pipeline_tag"] == "unconditional-image-generation"
    assert "class-conditional-image-generation" not in card["tags"]


def test_a_reference_is_printed_as_a_reader_wants_it():
    entries = literature()
    assert entries["ho2020"].text == (
        "Ho J, Jain A, Abbeel P. Denoising diffusion probabilistic models. NeurIPS 2020. arXiv:2006.11239"
    )
    assert entries["rao1988"].text.endswith("Journal of the American Statistical Association 1988; 83:231-241")
    assert entries["efron1993"].text.endswith("An Introduction to the Bootstrap. Chapman & Hall, 1993")
    assert entries["alaa2022"].text.startswith("Alaa AM, van Breugel B, Saveliev E, van der Schaar M. How faithful")
    assert entries["cardoso2022"].text.startswith("Cardoso MJ, Li W, Brown R, et al. MONAI")
    assert len(entries) == (Path(meddiff.reports.__path__[0]) / "literature.bib").read_text().count("\n@") + 1


def test_only_the_sampler_that_was_used_is_cited():
    def references(sampler: str) -> str:
        recipe = Recipe(synthesis=SynthesisRecipe(sampler=sampler))
        return " ".join(methods(to_dict(recipe), alternatives(recipe)).references)

    assert "UniPC" in references("unipc")
    assert "UniPC" not in references("heun")
    assert "DPM-Solver" not in references("heun")
    assert "Elucidating" in references("heun")


def test_citations_are_numbered_once():
    found = cited([("First.", ("song2021", "ho2020")), ("Second", ("ho2020",)), ("Third", ())])
    assert [sentence.citations for sentence in found.sentences] == [(1, 2), (2,), ()]
    assert found.sentences[0].text == "First"
    assert found.bibtex.count("@") == 2
