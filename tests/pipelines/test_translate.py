"""Images made of known ones, from the command to the report, on drawn pictures whose truth is known."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.pipelines.translate import main

SMALL = ["--dataset", "image_folder", "--data.image_size", "16", "--network.channels", "[16,32]",
         "--network.head_channels", "16", "--training.batch_size", "16", "--training.warmup_steps", "5",
         "--training.ema_decay", "0.95", "--training.sample_every", "1000", "--training.checkpoint_every", "1000",
         "--training.learning_rate", "4e-3", "--inference.members", "4", "--inference.steps", "4",
         "--evaluation.resamples", "200"]  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A manifest of discs with stripes in red; green is what red is not, blue is half of red."""
    place, generator, lines = tmp_path_factory.mktemp("drawn"), np.random.default_rng(0), []
    y, x = np.mgrid[:16, :16]
    for number in range(140):
        angle, phase = generator.uniform(0, np.pi), generator.uniform(0, 2 * np.pi)
        stripes = np.sin((np.cos(angle) * x + np.sin(angle) * y) * 1.2 + phase) > 0
        disc = (y - generator.uniform(4, 12)) ** 2 + (x - generator.uniform(4, 12)) ** 2 < generator.uniform(9, 30)
        red = np.where(disc, 220, 60 + 80 * stripes).astype(np.uint8)
        Image.fromarray(np.stack([red, 255 - red, red // 2], -1)).save(place / f"{number}.png")
        lines.append(f"r{number},drawn,{number}.png,real,p{number // 2}")
    (place / "manifest.csv").write_text("row_id,dataset,image_path,source,patient_id\n" + "\n".join(lines) + "\n")
    return place / "manifest.csv"


def run(manifest: Path, out: Path, *words: str, steps: int) -> Path:
    shared = ["--manifest", str(manifest), "--out", str(out), f"--data.cache={manifest.parent}/cache"]
    assert main(["evaluate", *SMALL, *shared, "--training.steps", str(steps), *words]) == 0
    return out


def means(run: Path, metric: str) -> dict[str, float]:
    table = pd.read_csv(run / "scores.csv").query("metric == @metric")
    return dict(zip(table["model"], table["mean"], strict=True))


@pytest.fixture(scope="module")
def sharper(drawn, tmp_path_factory) -> Path:
    words = ["--translation.factor", "2", "--data.channels", "1"]
    return run(drawn, tmp_path_factory.mktemp("runs") / "sharper", *words, steps=120)


def test_super_resolution_beats_cubic_interpolation_on_images_that_were_held_out(sharper):
    psnr, detail = means(sharper, "psnr_db"), means(sharper, "detail_db")
    assert list(psnr) == ["bicubic", "regression", "diffusion", "diffusion mean"]
    assert psnr["regression"] > psnr["bicubic"] + 1
    assert psnr["diffusion mean"] > psnr["bicubic"]
    assert psnr["diffusion mean"] > psnr["diffusion"], "the mean of members has the smaller error"
    assert detail["bicubic"] < detail["diffusion mean"] < detail["diffusion"], "and a member the more detail"


def test_the_report_says_who_wins_and_what_could_have_been_shown(sharper):
    report = json.loads((sharper / "report.json").read_text())
    assert report["format"] == "meddiff translation report"
    assert "Resolution x2: diffusion mean" in report["headline"]
    assert "against" in report["headline"]
    assert "would have been shown in four of five such studies" in report["headline"]
    weights = {row["model"]: row["weights"] for row in report["networks"]}
    assert weights["regression"] == weights["diffusion"], "an opponent has as many weights"
    page = (sharper / "report.html").read_text()
    assert "regression" in page
    assert page.count("<img") > 8


def test_a_finished_run_is_skipped_and_a_lost_answer_made_again_as_it_was(sharper, drawn, capsys):
    before = (sharper / "cases.csv").read_text()
    (sharper / "cases.csv").unlink()
    for file in sorted((sharper / "answers").glob("*.json"))[:2]:
        file.unlink()
    run(drawn, sharper, "--translation.factor", "2", "--data.channels", "1", steps=120)
    assert (sharper / "cases.csv").read_text() == before
    assert "3/5 baselines: done before, skipped" in capsys.readouterr().out


def test_pictures_of_a_user_become_larger_ones_under_their_own_names(sharper, drawn, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.asarray(Image.open(drawn.parent / "0.png"))[:10, :14]).save(tmp_path / "in" / "odd.png")
    (tmp_path / "in" / "broken.png").write_text("no picture")
    words = ["predict", "--checkpoint", str(sharper), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "o")]
    assert main(words) == 0
    assert np.asarray(Image.open(tmp_path / "o" / "odd_image.png")).shape == (20, 28)
    first = (tmp_path / "o" / "odd_image.png").read_bytes()
    table = pd.read_csv(tmp_path / "o" / "predictions.csv").set_index("name")
    assert table.loc["odd", "image"] == "odd_image.png"
    assert 0 < table.loc["odd", "spread"] < 0.5
    assert "no picture" in str(table.loc["broken", "problem"]) or "cannot" in str(table.loc["broken", "problem"])
    (tmp_path / "o" / "odd_image.png").unlink()
    assert main(words) == 0
    assert (tmp_path / "o" / "odd_image.png").read_bytes() == first
    assert "translated again, its image was missing: odd" in capsys.readouterr().out
    assert main([*words, "--model", "unet"]) == 2
    assert "none of the networks of this run: diffusion, regression" in capsys.readouterr().err


def test_a_sequence_is_learned_from_another_by_a_known_map(drawn, tmp_path, capsys):
    words = ["--translation.known", "sequences", "--translation.wanted", "[1]", "--translation.given", "[0]"]
    made = run(drawn, tmp_path / "mapped", *words, "--data.channels", "3", steps=120)
    psnr = means(made, "psnr_db")
    assert list(psnr) == ["regression", "diffusion", "diffusion mean"], "nothing needs no training here"
    assert min(psnr.values()) > 18, "green is what red is not: whoever had learned nothing would be at 10"
    mapped = ["predict", "--checkpoint", str(made), "--input", str(drawn.parent / "1.png")]
    assert main([*mapped, "--output", str(tmp_path / "o")]) == 0
    red = np.asarray(Image.open(drawn.parent / "1.png"))[..., 0].astype(float)
    answer = np.asarray(Image.open(tmp_path / "o" / "1_image.png")).astype(float)
    assert np.abs(answer - (255 - red)).mean() < 30
    assert main(["train", *SMALL, "--manifest", str(drawn), "--out", str(tmp_path / "x"), *words[:2],
                 "--translation.wanted", "[t9]", "--data.channels", "3"]) == 2  # fmt: skip
    assert "there is no sequence t9: the images have 3 channels" in capsys.readouterr().err


def test_a_hole_is_filled_and_what_is_around_it_stays(drawn, tmp_path, capsys):
    words = ["--translation.known", "hole", "--translation.holes", "irregular", "--data.channels", "1"]
    made = run(drawn, tmp_path / "filled", *words, steps=3)
    assert next(iter(means(made, "psnr_db"))) == "biharmonic"
    picture = np.asarray(Image.open(drawn.parent / "2.png").convert("L"))
    Image.fromarray(picture).save(tmp_path / "gray.png")
    hole = np.zeros(picture.shape, np.uint8)
    hole[4:9, 5:12] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    words = ["predict", "--checkpoint", str(made), "--input", str(tmp_path / "gray.png")]
    assert main([*words, "--output", str(tmp_path / "o"), "--holes", str(tmp_path / "hole.png")]) == 0
    answer = np.asarray(Image.open(tmp_path / "o" / "gray_image.png"))
    assert np.array_equal(answer[hole == 0], picture[hole == 0]), "to the bit"
    assert not np.array_equal(answer[hole > 0], picture[hole > 0])
    assert main([*words, "--output", str(tmp_path / "o2")]) == 2
    assert "name a picture that is white in the hole" in capsys.readouterr().err


def test_slices_that_are_thick_along_one_axis_become_a_volume_with_a_finer_affine(tmp_path):
    generator, place = np.random.default_rng(0), tmp_path / "volumes"
    place.mkdir()
    for number in range(12):
        nibabel.Nifti1Image(generator.normal(100, 20, (10, 12, 16)).astype(np.float32), np.eye(4)).to_filename(
            place / f"p{number}.nii.gz")  # fmt: skip
    words = ["--dataset", "nifti_folder", "--data_root", str(place), "--data.slice_axis", "sagittal",
             "--training.steps", "2", "--translation.factor", "2", "--translation.along", "vertical"]  # fmt: skip
    out = ["--out", str(tmp_path / "run"), f"--data.cache={tmp_path}/cache"]
    assert main(["train", *SMALL, *words, *out]) == 0
    affine = np.diag([-1.0, 1.5, 4.0, 1.0])
    affine[:3, 3] = 7, -3, 11
    thick = nibabel.Nifti1Image(generator.normal(100, 20, (6, 8, 5)).astype(np.float32), affine)
    thick.to_filename(tmp_path / "thick.nii.gz")
    assert main(["predict", "--checkpoint", str(tmp_path / "run"), "--input", str(tmp_path / "thick.nii.gz"),
                 "--output", str(tmp_path / "o")]) == 0  # fmt: skip
    made = nibabel.load(tmp_path / "o" / "thick_image.nii.gz")
    assert made.shape == (6, 8, 10)
    assert np.allclose(nibabel.affines.voxel_sizes(made.affine), (1, 1.5, 2))
    ends = [nibabel.affines.apply_affine(one.affine, [[-0.5] * 3, np.array(one.shape) - 0.5]) for one in (made, thick)]
    assert np.allclose(np.sort(ends[0], 0), np.sort(ends[1], 0)), "both begin and end at the same place"
    assert 40 < float(np.asarray(made.dataobj).mean()) < 160, "in the unit of the input"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--translation.factor", "3"], "translation.factor 3 does not divide 16"),
        (["--translation.known", "sequences"], "needs the sequences that are wanted"),
        (["--translation.wanted", "[1]"], "belong to --translation.known sequences"),
        (["--translation.known", "hole", "--translation.along", "vertical"], "belong to low_resolution"),
        (["--translation.known", "sequences", "--translation.wanted", "[0]", "--translation.given", "[0]"],
         "both name 0"),
        (["--training.class_balance", "0.5"], "images have no classes here"),
        (["--translation.known", "masks"], "translation.known"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_end_in_a_sentence(words, said, drawn, tmp_path, capsys):
    assert main(["train", *SMALL, "--manifest", str(drawn), "--out", str(tmp_path / "x"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
