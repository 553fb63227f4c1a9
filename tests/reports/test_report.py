"""The report as a file: it says what it was given, escapes it, asks nobody for anything, and is written whole."""

import dataclasses
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from example_report import CLASSES, HOSTILE, empty_report, example_report

from meddiff.errors import InputError
from meddiff.jobs.generate.report import alternatives, arm_title
from meddiff.recipe import DiffusionRecipe, Recipe, SynthesisRecipe, VolumeRecipe, to_dict
from meddiff.reports import contrasts, figures, tabular, words
from meddiff.reports.figures import Line
from meddiff.reports.literature import Methods
from meddiff.reports.report import Panels
from meddiff.reports.results import ArmName
from meddiff.reports.study import REQUIRED_COLUMNS, data_table, distances_table, loss_curve, study_report
from meddiff.reports.study_methods import limitations, methods
from meddiff.reports.tabular import Table
from meddiff.reports.write import as_html, write_report

VOID = {"meta", "link", "img", "br", "line", "circle", "rect", "polyline", "path", "image", "use"}


class Outline(HTMLParser):
    """Collects tags, attributes and text, and fails on a tag that closes another."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.addresses, self.figures, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.addresses += [found[name] for name in ("src", "href", "action", "data") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        self.figures += [""] if tag == "figcaption" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "figcaption" in self.open:
            self.figures[-1] += data


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    html, plain, *_ = write_report(study_report(example_report()), folder)
    names = ["model_card.md", "references.bib", "report.html", "report.json", "report.md"]
    assert sorted(path.name for path in folder.iterdir()) == names, "no temporary file stays"
    return html.read_text(encoding="utf-8"), plain.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(written):
    outline = Outline()
    outline.feed(written[0])
    assert outline.open == [], "every tag is closed"
    return outline


def test_the_headline_comes_first(written):
    html, _ = written
    text = re.sub(r"<[^>]+>", "", html[html.index("<main>") :])
    assert text.index("did not measurably help") < text.index("Arms side by side")


def test_a_hostile_class_name_is_only_text(written, outline):
    html, _ = written
    assert HOSTILE not in html
    assert HOSTILE.replace("<", "&lt;").split("=")[0].split(">")[0] in html
    assert re.findall(r"<script[^>]*>", html) == ["<script>"]


def test_the_page_asks_nobody_for_anything(written, outline):
    html, _ = written
    assert all(address.startswith(("data:", "#")) for address in outline.addresses)
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html


def test_links_inside_the_page_lead_somewhere(outline):
    targets = {address[1:] for address in outline.addresses if address.startswith("#")}
    assert targets <= set(outline.ids)
    assert len(outline.ids) == len(set(outline.ids))


def test_every_figure_and_table_of_a_phantom_run_is_stamped(outline):
    assert len(outline.figures) > 20
    assert all(caption.strip().startswith("phantom") for caption in outline.figures)


def test_a_run_on_real_images_has_no_stamp(tmp_path):
    html, plain, *_ = write_report(study_report(example_report(phantom=False)), tmp_path)
    page = html.read_text(encoding="utf-8")
    assert "phantom" not in page[page.index("<body") :].lower().replace("phantom_images", "")
    assert json.loads(plain.read_text(encoding="utf-8"))["phantom"] is False


def test_the_numbers_of_the_arms_stand_in_the_page(written):
    html, _ = written
    assert "0.706" in html
    assert "[0.661, 0.747]" in html
    assert "162 test images of 121 patients, 3 seeds per arm" in html
    assert "+0.023" in html
    assert "480 of 480 kept" in html


def test_json_holds_every_row_and_no_nan(written):
    _, text = written
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    report = example_report()
    for name in ("scores", "differences", "distances", "log", "stages", "filter_counts", "copies", "data", "skipped"):
        assert len(plain[name]) == len(getattr(report, name))
        assert set(plain[name][0]) == set(getattr(report, name).columns)
    assert plain["scores"][-1]["estimate"] is None, "the undefined sensitivity"
    assert plain["scores"][0]["estimate"] == pytest.approx(0.612)
    assert plain["nearest"][1] == {"synthetic_id": "seed_000901", "real_id": "ISIC_0024313", "distance": 2.06}
    assert plain["galleries"][0] == {"class_name": "nevus", "real": 6, "synthetic": 6}
    assert plain["recipe_differences"] == {"preset": {"default": "auto", "used": "quick"}}
    assert plain["provenance"]["environment"]["gpu"] is None


def test_json_takes_numpy_values_and_infinities(tmp_path):
    log = pd.DataFrame({"step": np.arange(3), "loss": [1.0, np.inf, np.nan]})
    report = dataclasses.replace(empty_report(), log=log, environment={"count": np.int64(3), "sizes": np.arange(2)})
    plain = json.loads(write_report(study_report(report), tmp_path)[1].read_text(encoding="utf-8"))
    assert [row["loss"] for row in plain["log"]] == [1.0, None, None]
    assert plain["provenance"]["environment"] == {"count": 3, "sizes": [0, 1]}


def test_an_empty_report_says_what_was_not_measured(tmp_path):
    html, *others = write_report(study_report(empty_report()), tmp_path)
    assert [path.name for path in others] == ["report.json", "report.md"], "no recipe: no references, no card"
    page = html.read_text(encoding="utf-8")
    assert "No classifier was trained in this run." in page
    assert "This run drew no images." in page
    assert "<table" not in page


@pytest.mark.parametrize("name", sorted(REQUIRED_COLUMNS))
def test_a_missing_column_is_named_and_the_old_report_stays(tmp_path, name):
    (tmp_path / "report.html").write_text("old")
    column = REQUIRED_COLUMNS[name][-1]
    report = example_report()
    broken = dataclasses.replace(report, **{name: getattr(report, name).drop(columns=column)})
    with pytest.raises(InputError, match=f"{name}.*{column}"):
        write_report(study_report(broken), tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("report.html", "old")]


def test_a_picture_that_is_no_picture_stops_before_anything_is_written(tmp_path):
    report = example_report()
    gallery = dataclasses.replace(report.galleries[0], real=[np.zeros((8, 8), np.float32)])
    with pytest.raises(InputError, match="uint8"):
        write_report(study_report(dataclasses.replace(report, galleries=[gallery])), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_curve_counts_a_repeated_step_once_and_leaves_out_what_is_not_finite():
    log = [{"step": 1, "loss": 9.0}, {"step": 1, "loss": 1.0}, {"step": 2, "loss": math.inf}, {"step": 3, "loss": 0.1}]
    curve = loss_curve(log)
    assert curve is not None
    faint = curve.strips[0].shapes[0]
    assert isinstance(faint, Line)
    assert faint.faint
    assert [x for x, _ in faint.points] == [0, 100]
    assert loss_curve(log[:2]) is None


def test_the_methods_follow_the_recipe():
    def told(recipe: Recipe) -> tuple[str, tuple[str, ...]]:
        found = methods(to_dict(recipe), alternatives(recipe))
        return ". ".join(sentence.text for sentence in found.sentences), found.references

    text, references = told(Recipe())
    assert "DPM-Solver++(2M) in 25 steps" in text
    assert any("min-SNR" in entry for entry in references)
    diffusion, synthesis = DiffusionRecipe(prediction="eps", min_snr_gamma=None), SynthesisRecipe(sampler="ddim")
    text, references = told(Recipe(diffusion=diffusion, synthesis=synthesis))
    assert "DDIM in 25 steps" in text
    assert "trained to predict the noise, with an unweighted loss" in text
    assert not any("min-SNR" in entry or "DPM" in entry for entry in references)
    text, references = told(Recipe(diffusion=DiffusionRecipe(loss_weight="p2", min_snr_gamma=None)))
    assert "with P2 loss weights" in text
    assert any("Perception prioritized" in entry for entry in references)
    found = methods(to_dict(Recipe(synthesis=SynthesisRecipe(sampler="my_sampler"))), {})
    text = ". ".join(sentence.text for sentence in found.sentences)
    assert "My sampler in 25 steps" in text, "a new sampler is named without a citation"
    assert methods({}, {}) == Methods()
    volumes = VolumeRecipe(spacing_mm=(1.0, 1.0, 2.5), intensity="window", bias_correction=True)
    text, _ = told(Recipe(dimensions=3, label="size", volume=volumes))
    assert "at 64 by 64 by 64 voxels" in text
    assert "resampled to 1 x 1 x 2.5 mm, and their intensities scaled from -160 to 240 HU, the coil's" in text
    assert "thirds of the data set by the size" in text
    assert "pixels" not in text


@pytest.mark.parametrize(
    ("part", "setting", "value", "sentence", "source"),
    [
        ("network", "name", "edm2", "with the U-Net of EDM2", "training dynamics"),
        ("network", "dropout", 0.1, "dropped in training with probability 0.1", ""),
        ("training", "times", "log_normal", "log-normally", "Elucidating"),
        ("training", "times", "loss_aware", "the size of their last losses", "Improved denoising"),
        ("training", "decay", "inverse_sqrt", "fell with the root of the step", "training dynamics"),
        ("diffusion", "learned_variance", True, "variance of ancestral steps was learned", "Improved denoising"),
        ("diffusion", "offset_noise", 0.1, "a part common to all pixels (strength 0.1)", "offset"),
        ("diffusion", "self_condition", True, "shown its own last estimate", "Analog bits"),
        ("synthesis", "guidance_interval", (0.2, 0.8), "between 20% and 80% of the noise levels", "limited interval"),
        ("synthesis", "guidance_rescale", 0.7, "rescaled (factor 0.7)", "flawed"),
        ("synthesis", "classifier_guidance", 2.0, "A classifier of noisy images guided them", "beat GANs"),
        ("synthesis", "threshold", "dynamic", "thresholded dynamically", "Photorealistic"),
        ("synthesis", "threshold", "clip", "clipped to the range", ""),
    ],
)
def test_what_a_generator_was_asked_for_beyond_the_usual_stands_in_the_methods(part, setting, value, sentence, source):
    def written(recipe: Recipe) -> str:
        paragraph = methods(to_dict(recipe), alternatives(recipe))
        return " ".join([*(one.text for one in paragraph.sentences), *paragraph.references])

    asked = dataclasses.replace(Recipe(), **{part: dataclasses.replace(getattr(Recipe(), part), **{setting: value})})
    assert sentence in written(asked)
    assert sentence not in written(Recipe())
    assert source.lower() in written(asked).lower()


def test_citations_are_numbered_as_they_are_met():
    found = methods(to_dict(Recipe()), alternatives(Recipe()))
    met = [number for sentence in found.sentences for number in sentence.citations]
    assert list(dict.fromkeys(met)) == list(range(1, len(found.references) + 1))


def test_limitations_are_told_from_the_numbers():
    scores = tabular.records(example_report().scores)
    told = " ".join(limitations(True, scores, to_dict(Recipe())))
    assert "drawn by code" in told
    assert "trained 3 times" in told
    assert "melanoma" in told
    assert "nevus" not in told, "82 test images are enough"
    many = [row | {"n_images": 500, "n_groups": 400, "n_seeds": 5} for row in scores]
    short = " ".join(limitations(False, many, {}))
    assert "Fewer than 30" not in short
    assert "drawn by code" not in short
    assert "compare only within their table" in short
    assert "compare only" not in " ".join(limitations(False, many, {}, distances=False))


def test_groups_are_called_what_they_are():
    results = example_report(phantom=False)
    for noun in ("patient", "lesion"):
        text = str(study_report(dataclasses.replace(results, group_noun=noun)))
        assert f"162 test images of 121 {noun}s, 3 seeds" in text
        assert f"Images and {noun}s by class" in text
        assert f"resamples over {noun}s" in text
    alone = dataclasses.replace(results, group_noun="image")
    assert caption(contrasts.arms_table(alone)) == "All arms; 162 test images, 3 seeds per arm"
    assert caption(data_table(alone)) == "Images by class and split"


def caption(table: Table | None) -> str:
    assert table is not None
    return table.caption


def test_distances_that_could_not_be_computed_are_told_in_words():
    results = example_report()
    unknown = results.distances.assign(value=np.nan, warning="too few to say anything")
    results = dataclasses.replace(results, distances=unknown)
    assert distances_table(results) is None
    assert "No distance was computed in this run: too few to say anything." in as_html(study_report(results))


def test_the_study_marks_arms_with_synthetic_images_and_the_reference():
    results = example_report()
    assert results.arm(results.reference).title == "Real, classical augmentation"
    forest, *_ = (part for part in contrasts.arms(results).parts if isinstance(part, figures.Figure))
    assert [strip.color for strip in forest.strips] == ["plain", "plain", "plain", "accent", "accent"]
    assert forest.reference == forest.strips[2].shapes[0].x
    change, *_ = (part for part in contrasts.differences(results).parts if isinstance(part, figures.Figure))
    assert change.reference is not None
    (panels,) = (part for part in contrasts.classes(results).parts if isinstance(part, Panels))
    assert [figure.title.split(" (")[0] for figure in panels.figures] == list(CLASSES)
    assert panels.figures[-1].strips[-1].shapes[0].x is None
    table = contrasts.arms_table(results)
    assert table is not None
    assert len(table.columns) == 4


def test_an_arm_says_itself_whether_it_is_synthetic():
    names = {"real": ArmName("One", synthetic=True), "synthetic": ArmName("Two"), "ratio": ArmName("Three")}
    results = dataclasses.replace(example_report(), arm_names=names)
    forest, *_ = (part for part in contrasts.arms(results).parts if isinstance(part, figures.Figure))
    assert (forest.strips[0].label, forest.strips[0].color) == ("One", "accent"), "its name is not asked"
    assert (forest.strips[-1].label, forest.strips[-1].color) == ("Two", "plain")


def test_warnings_of_the_scores_are_told_once_with_their_classes():
    scores = example_report().scores.assign(warning="")
    small = (scores["metric"] == "sensitivity") & (scores["class_name"] == "melanoma")
    scores.loc[small, "warning"] = "only 9 groups: the interval is rough"
    first = (scores["metric"] == "macro_auroc") & (scores["arm"] == "real")
    scores.loc[first, "warning"] = "one seed; every resample gives the same value"
    results = dataclasses.replace(empty_report(), scores=scores)
    assert contrasts.warnings_of(results) == [
        "All classes (Macro AUROC): one seed.",
        "All classes (Macro AUROC): every resample gives the same value.",
        "melanoma: only 9 groups: the interval is rough.",
    ]


def test_a_table_sorts_by_numbers_and_aligns_them():
    frame = pd.DataFrame({"class_name": ["a", "b"], "value": [0.01234, np.nan], "low": [0.01, np.nan],
                          "high": [0.02, np.nan]})  # fmt: skip
    table = tabular.from_records(tabular.records(frame), "t")
    assert table is not None
    assert [column.title for column in table.columns] == ["Class", "Value"]
    assert [column.numeric for column in table.columns] == [False, True]
    assert table.rows[0][1] == tabular.Cell("0.0123", "[0.0100, 0.0200]", 0.01234)
    assert table.rows[1][1] == tabular.Cell(words.ABSENT)
    assert tabular.from_records([], "t") is None


@pytest.mark.parametrize(
    ("got", "text"),
    [
        (words.number(-0.1234), "\u22120.123"),
        (words.number(0.05, 2, True), "+0.05"),
        (words.number(None), "\u2013"),
        (words.number(math.inf), "\u221e"),
        (words.interval(0.1, math.nan), ""),
        (words.significant(0), "0"),
        (words.significant(1234.5), "1,234"),
        (words.significant(0.000123456), "0.000123"),
        (words.significant(1.5e-9), "1.50e\u221209"),
        (words.duration(0.84), "0.8 s"),
        (words.duration(59.7), "1 min 00 s"),
        (words.duration(185), "3 min 05 s"),
        (words.duration(7625), "2 h 07 min"),
        (words.memory(812), "812 MiB"),
        (words.memory(12700), "12.4 GiB"),
        (words.percent(0.0142), "1.4%"),
        (words.setting(2e-4), "0.0002"),
        (words.setting((64, 128)), "64, 128"),
        (words.setting(True), "yes"),
        (arm_title("real_synthetic"), "Real + synthetic"),
        (empty_report().arm("real_mixup").title, "Real mixup"),
        (words.in_words("macro_auroc"), "Macro AUROC"),
        (words.plain(12000), "12,000"),
    ],
)
def test_numbers_and_names_as_a_reader_wants_them(got, text):
    assert got == text
