"""``evaluate images`` on phantoms with planted faults: each is exposed by the measure meant for it."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from rich.console import Console
from scipy.ndimage import gaussian_filter

from meddiff.errors import InputError
from meddiff.evaluation.images.sets import ImageSet, Space, check_comparable
from meddiff.jobs.evaluate.images import run
from meddiff.networks.features.lpips import CHANNELS, _trunk
from meddiff.pipelines.evaluate import main
from meddiff.recipe.commands import EvaluateImages
from meddiff.sources import phantom

pytestmark = pytest.mark.slow  # phantoms are drawn, and ten evaluations made of them
SIDE, COUNT = 32, 48


def save(folder, images, names):
    folder.mkdir()
    for name, image in zip(names, images, strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Real and training images, and generators: an honest one, which draws other people, and broken ones."""
    top = tmp_path_factory.mktemp("sets")
    rows = phantom.rows("dermoscopy", seed=0, count=3 * COUNT)
    people = list(dict.fromkeys(row.patient_id for row in rows))
    images = {row.row_id: phantom.draw(row, SIDE)[0] for row in rows}
    part = {person: number % 3 for number, person in enumerate(np.random.default_rng(1).permutation(people))}
    middle = np.median([image.mean() for image in images.values()])
    shown = {name: "pale" if image.mean() > middle else "dark" for name, image in images.items()}  # what labels say
    real, train, honest = (
        {f"{row.patient_id}_{n}={shown[row.row_id]}".replace("/", "-"): images[row.row_id]
         for n, row in enumerate(rows) if part[row.patient_id] == number}
        for number in range(3)
    )  # fmt: skip
    drawn = np.stack(list(honest.values()))
    generator = np.random.default_rng(2)

    def noisy(pictures):
        return np.clip(pictures + generator.normal(0, 3, pictures.shape), 0, 255).astype(np.uint8)

    save(top / "real", real.values(), real)
    save(top / "train", train.values(), train)
    copies = noisy(np.stack(list(train.values()))[:, :, ::-1])
    labels = [name.partition("=")[2] for name in honest]
    save(top / "labeled", drawn, [f"{n}={label}" for n, label in enumerate(labels)])
    save(top / "mislabeled", drawn, [f"{n}={label}" for n, label in enumerate(generator.permutation(labels))])
    for name, pictures in {
        "honest": drawn,
        "collapsed": noisy(drawn[np.arange(len(drawn)) % 4]),
        "blurred": np.stack([gaussian_filter(picture, (1.2, 1.2, 0)) for picture in drawn]),
        "tinted": drawn[..., ::-1],
        "copies": copies,
    }.items():
        save(top / name, pictures, range(len(pictures)))
    return top


def evaluated(folders, name, **settings):
    console = Console(width=200, record=True, file=io.StringIO())
    told = {"real": "real", "synthetic": name, "train": ""} | settings
    told |= {key: str(folders / told[key]) for key in ("real", "synthetic", "train") if told[key]}
    fixed = {"groups": "^[^_]+", "splits": 5, "cache": str(folders / "cache")}
    report = run(EvaluateImages(**fixed | {"out": str(folders / f"out-{name}")} | told), console)
    return report, report.quality.set_index("metric"), console.export_text()


def first_sentence(report):
    return report.headline.partition(". ")[0]


@pytest.fixture(scope="module")
def honest(folders):
    return evaluated(folders, "honest", train="train")


def test_an_honest_generator_stays_within_what_real_halves_give(folders, honest):
    report, quality, text = honest
    assert not quality["outside"].any(), quality[quality["outside"]].index
    kernel = quality.loc["kernel_distance"]
    assert kernel["baseline_low"] < kernel["matched"] < kernel["baseline_high"]
    assert report.headline.startswith("The synthetic images show no fault that these measures see")
    nearer = report.copies.loc[report.copies["set"] == "synthetic", "nearer_than_held_out"].max()
    assert (f"; {nearer} of " in first_sentence(report)) == (nearer > 0), "such images are told, always"
    assert ". No measure tells" in report.headline
    assert "No measure tells the synthetic images from real ones beyond chance" in text
    pixels = report.copies[report.copies["space"] == "pixels"].set_index("set")
    assert pixels.loc["synthetic", "share_of_copies"] < 0.25
    assert pixels.loc["synthetic", "high"] < 1
    about = quality.loc["frechet_distance"]
    assert (about["extractor"], about["dimension"], about["resolution"]) == ("untrained", 64, 32)
    assert about["resize_filter"] == "Pillow bicubic, antialiased"
    written = sorted(path.name for path in (folders / "out-honest").iterdir())
    assert written == ["copies.csv", "measures.csv", "references.bib", "report.html", "report.json", "report.md"]
    assert len(pd.read_csv(folders / "out-honest" / "measures.csv")) == 11
    statistics = report.statistics.set_index("metric")
    assert abs(statistics.loc["copying_statistic", "synthetic"]) < 3
    distance = statistics.loc["memorization_distance"]
    assert 0.7 < distance["synthetic"] / distance["held_out"] < 1.4


def test_mode_collapse_shows_in_coverage_recall_and_the_number_of_different_images(folders):
    report, quality, text = evaluated(folders, "collapsed")
    assert "images that repeat each other" in first_sentence(report)
    assert "kinds of real images that are missing" in first_sentence(report)
    assert quality.loc[["recall", "coverage", "vendi_score", "pair_similarity"], "outside"].all()
    vendi = quality.loc["vendi_score"]
    assert vendi["matched"] < 0.8 * vendi["baseline_low"]
    assert "tell the synthetic images from real ones" in text


def test_mode_collapse_shows_in_lpips_too(folders, tmp_path):
    generator = torch.Generator().manual_seed(0)
    trunk = {f"features.{name}": 0.05 * torch.randn(value.shape, generator=generator)
             for name, value in _trunk().state_dict().items()}  # fmt: skip
    torch.save(trunk, tmp_path / "alexnet-owt-7be5be79.pth")
    heads = {f"lin{n}.model.1.weight": torch.ones(1, channels, 1, 1) for n, channels in enumerate(CHANNELS)}
    torch.save(heads, tmp_path / "alex.pth")
    _, quality, _ = evaluated(folders, "collapsed", lpips=str(tmp_path))
    distance = quality.loc["perceptual_distance"]
    assert distance["fault"] == "images that repeat each other"
    assert distance["matched"] < 0.9 * distance["baseline_low"]
    assert "LPIPS of pairs" in (folders / "out-collapsed" / "report.md").read_text()


def test_blur_shows_in_the_spectrum_and_not_in_the_colors(folders):
    report, quality, _ = evaluated(folders, "blurred")
    assert "blur" in first_sentence(report)
    assert quality.loc["fine_detail_db", "matched"] < -3
    assert quality.loc["spectrum_distance_db", "matched"] > 3 * quality.loc["spectrum_distance_db", "baseline_high"]
    assert quality.loc["spectrum_distance_db", "outside"]
    assert not quality.loc["color_distance_levels", "outside"]


def test_wrong_colors_show_in_the_colors_and_not_in_the_spectrum(folders):
    report, quality, _ = evaluated(folders, "tinted")
    assert "wrong colors or brightness" in first_sentence(report)
    assert quality.loc["color_distance_levels", "matched"] > 1.5 * quality.loc["color_distance_levels", "baseline_high"]
    assert quality.loc["color_distance_levels", "outside"]
    assert not quality.loc["spectrum_distance_db", "outside"]


def test_a_memorizer_shows_beside_held_out_real_images_also_when_it_mirrors(folders):
    report, _, text = evaluated(folders, "copies", train="train")
    assert first_sentence(report).startswith("The synthetic images show copies of training images")
    pixels = report.copies[report.copies["space"] == "pixels"].set_index("set")["share_of_copies"]
    assert pixels["synthetic"] == 1.0
    assert pixels["held-out real"] <= 0.1
    statistics = report.statistics.set_index("metric")
    assert statistics.loc["copying_statistic", "synthetic"] < -3 < statistics.loc["copying_statistic", "held_out"]
    assert statistics.loc["authentic_share", "synthetic"] < 0.5 * statistics.loc["authentic_share", "held_out"]
    assert (
        statistics.loc["memorization_distance", "synthetic"] < 0.5 * statistics.loc["memorization_distance", "held_out"]
    )
    assert all("mirrored" in pair.real_id for pair in report.nearest)
    assert "100.0% [100.0%, 100.0%] of them are near-copies of training images" in text


def test_wrong_labels_show_in_the_label_agreement_alone(folders):
    right, quality, _ = evaluated(folders, "labeled", labels="=(.+)")
    agreement = quality.loc["label_agreement"]
    assert not agreement["outside"]
    assert agreement["baseline"] > 0.7
    wrong, quality, _ = evaluated(folders, "mislabeled", labels="=(.+)")
    assert quality.loc["label_agreement", "matched"] < 0.7 * agreement["matched"]
    assert set(quality.index[quality["outside"]]) - set(right.quality.loc[right.quality["outside"], "metric"]) == {
        "label_agreement"
    }
    assert "labels that do not fit the images" in first_sentence(wrong)


def test_the_reports_say_the_same(folders, honest):
    report, quality, _ = honest
    out = folders / "out-honest"
    plain = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert plain["headline"] == report.headline
    assert plain["quality"][0]["value"] == pytest.approx(quality["value"].iloc[0])
    assert plain["unbiased_frechet_distance"] is None
    markdown, page = ((out / name).read_text(encoding="utf-8") for name in ("report.md", "report.html"))
    for text in (markdown, page):
        assert report.headline in text
        assert "its Frechet distance is no FID" in text
        assert "Kernel distance (KID)" in text
    assert page.count('src="data:image') == 2 * 15 + 2 * 2 * 8
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_features_are_made_once_and_again_for_other_content(folders, honest, monkeypatch):
    from meddiff.evaluation.images import sets as image_sets

    calls = []
    computed = image_sets._computed
    monkeypatch.setattr(image_sets, "_computed", lambda *given: calls.append(1) or computed(*given))
    _, again, _ = evaluated(folders, "honest", train="train")
    assert calls == []
    pd.testing.assert_frame_equal(again, honest[1])
    evaluated(folders, "honest", size=24)
    assert len(calls) == 2


def test_features_of_different_extractors_are_not_compared():
    sets = [ImageSet((), np.zeros((0, 3, 8, 8)), np.zeros((0, 2)), (), Space(name, "", 8, "crop", ""))
            for name in ("untrained", "inception")]  # fmt: skip
    with pytest.raises(InputError, match=r"cannot be compared: untrained .* and inception"):
        check_comparable(*sets)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"real": "nowhere"}, "--real .*nowhere: there is no such folder"),
        ({"groups": "("}, "no regular expression"),
        ({"groups": r"lesion(\d+)"}, "is not found in the name"),
        ({"groups": "^der"}, "of 1 patients"),
        ({"size": 4}, "--size 4"),
        ({"splits": 1}, "--splits 1"),
        ({"copy_rate": 2.0}, "--copy-rate"),
        ({"train": "real"}, "0 of the .* real images are held out"),
        ({"features": "classifier"}, "unknown --features"),
        ({"features": "inception", "weights": "manifest.csv"}, "no weights of Inception v3 at .*manifest.csv"),
        ({"weights": "some.pth"}, "untrained has learned nothing and takes no weights: leave --weights out"),
    ],
)
def test_bad_input(folders, settings, match):
    with pytest.raises(InputError, match=match):
        evaluated(folders, "honest", **settings)


def test_a_manifest_gives_patients_and_splits(folders, tmp_path, capsys):
    names = sorted(path.name for path in (folders / "real").iterdir())
    lines = [f"{name},mine,{name.split('_')[0]},{'test' if n else 'train'},{name},real" for n, name in enumerate(names)]
    table = folders / "real" / "manifest.csv"
    table.write_text("\n".join(["row_id,dataset,patient_id,split,image_path,source", *lines]))
    told = ["images", "--synthetic", str(folders / "honest"), "--splits", "2",
            "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]  # fmt: skip
    try:
        capsys.readouterr()
        assert main([*told, "--real", f"{table}:val"]) == 2
        assert "no row is left" in capsys.readouterr().err
        if names[0].split("_")[0] != names[1].split("_")[0]:
            assert main([*told, "--real", f"{table}:test"]) == 0
            measures = pd.read_csv(tmp_path / "out" / "measures.csv")
            assert measures["n_real"].unique().tolist() == [len(names) - 1]
    finally:
        table.unlink()
