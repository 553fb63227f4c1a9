"""Images drawn by their masks, from the command to pairs that can be trained on, on drawn pictures."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from meddiff import load
from meddiff.formats.masks import load_mask
from meddiff.formats.masks.meaning import read_meaning
from meddiff.manifest.table import read_manifest
from meddiff.pipelines.translate import main
from tests.pipelines.drawn_pairs import VALUES, draw_pairs
from tests.pipelines.drawn_volumes import draw

MEANING = ",".join(f"{value}={name}" for name, value in VALUES.items())
NETWORK = ["--network.channels", "[16,32]", "--network.head_channels", "16", "--network.residual_blocks", "1",
           "--training.warmup_steps", "5", "--training.ema_decay", "0.9", "--training.learning_rate", "4e-3",
           "--inference.members", "2", "--inference.steps", "4", "--evaluation.resamples", "200",
           "--translation.known", "mask"]  # fmt: skip
PICTURES = ["--dataset", "image_folder", "--data.image_size", "16", "--training.batch_size", "16",
            "--data.mask_values", MEANING]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("masks")
    manifest = draw_pairs(place / "data")
    assert main(["evaluate", *PICTURES, *NETWORK, "--manifest", str(manifest), "--out", str(place / "run"),
                 "--training.steps", "80", f"--data.cache={place}/cache"]) == 0  # fmt: skip
    return place / "run"


def drawn(run: Path, label_maps: Path, out: Path, *words: str) -> Path:
    assert main(["predict", "--checkpoint", str(run), "--input", str(label_maps), "--output", str(out), *words]) == 0
    return out


def test_a_drawn_picture_shows_the_mask_that_was_told(made):
    scores = pd.read_csv(made / "scores.csv").query("metric == 'dice'").set_index("model")["mean"]
    assert list(scores.index) == ["real picture", "regression", "diffusion", "diffusion mean"]
    assert scores["real picture"] > 0.8, "or the judge has learned nothing"
    assert scores["diffusion"] > 0.7
    report = json.loads((made / "report.json").read_text())
    assert "nearer to the told mask" in report["headline"]
    assert {row["model"] for row in report["networks"]} == {"regression", "unet", "diffusion"}
    assert {"real picture", "diffusion"} <= {row["model"] for row in report["means"] if row["metric"] == "dice"}


def test_an_edited_mask_moves_what_is_drawn_and_the_pairs_can_be_trained_on(made, tmp_path, capsys):
    maps = tmp_path / "maps"
    maps.mkdir()
    y, x = np.mgrid[:24, :32]  # oblong, and larger than the network's grid
    for name, column in (("left", 9), ("right", 22)):
        disc = np.hypot(y - 12, x - column) < 6
        Image.fromarray(np.where(disc, VALUES["disc"], 0).astype(np.uint8)).save(maps / f"{name}.png")
    Image.fromarray(np.full((16, 16), 99, np.uint8)).save(maps / "unknown.png")
    Image.fromarray(np.zeros((16, 16, 3), np.uint8) + np.array([9, 99, 200], np.uint8)).save(maps / "photo.png")
    out = drawn(made, maps, tmp_path / "out", "--members", "2")
    lines = pd.read_csv(out / "drawn.csv").set_index("name")
    assert "it holds the value 99" in lines.loc["unknown", "problem"]
    assert "has colors" in lines.loc["photo", "problem"]
    rows = read_manifest(out / "manifest.csv")
    assert [row.row_id for row in rows] == ["left-00", "left-01", "right-00", "right-01"]
    assert {row.source for row in rows} == {"synthetic"}
    assert {row.group for row in rows} == {"drawn of left", "drawn of right"}, "a split keeps them together"
    assert "by=mask" in (rows[0].generator or "")
    meaning = read_meaning(made / "mask_values.json")
    for row in rows:
        mask, picture = load_mask(row.mask_parts[0].path, meaning=meaning), np.asarray(Image.open(row.image_file))
        assert picture.shape[:2] == mask.shape == (16, 16)
        inside, outside = picture[..., 0][mask == 1].mean(), picture[..., 0][mask == 0].mean()
        assert inside > outside + 30, "the disc is where the mask says it is"
    before = (out / "left_member_01.png").read_bytes()
    (out / "left_member_00.png").unlink()
    drawn(made, maps, out, "--members", "2")
    assert (out / "left_member_01.png").read_bytes() == before, "a resumed command draws the same"
    assert "its member was missing: left" in capsys.readouterr().out
    assert read_manifest(out / "manifest.csv") == rows
    single = drawn(made, maps / "left.png", tmp_path / "one", "--single", "--guidance", "3", "--model", "regression")
    assert [row.row_id for row in read_manifest(single / "manifest.csv")] == ["left-00"]


def test_a_program_draws_what_it_tells(made):
    model = load(made)
    mask = torch.zeros(1, 16, 16, dtype=torch.int64)
    mask[:, 4:11, 5:12] = 1
    pictures = model.members(model.task.shown(mask)[0], [1, 2])
    assert pictures.shape == (2, 3, 16, 16)
    assert torch.equal(pictures[1:], model.members(model.task.shown(mask)[0], [2])), "a function of its own seed"


def test_what_is_ignored_is_told_to_nobody(made, tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[4:12, 4:12] = VALUES["disc"]
    Image.fromarray(mask).save(tmp_path / "whole.png")
    mask[:] = VALUES["ignore"]
    Image.fromarray(mask).save(tmp_path / "nothing.png")
    out = drawn(made, tmp_path, tmp_path / "out", "--members", "1")
    assert (np.asarray(Image.open(out / "nothing_mask.png")) == VALUES["ignore"]).all()
    pictures = [np.asarray(Image.open(out / f"{name}_member_00.png")) for name in ("whole", "nothing")]
    assert not np.array_equal(*pictures)


@pytest.mark.parametrize("words", [["--dimensions", "3", "--volume.patch_size", "[8,8,8]"],
                                   ["--data.slice_axis", "axial", "--data.image_size", "8"]])  # fmt: skip
def test_volumes_are_drawn_of_label_volumes_whole_and_slice_by_slice(words, tmp_path):
    study = draw(tmp_path / "study", 8, labels=False)
    assert main(["train", *NETWORK, "--dataset", "nifti_folder", "--data_root", str(study), *words,
                 "--training.steps", "1", "--training.batch_size", "2", "--classes", "[background,ball]",
                 "--out", str(tmp_path / "run"), f"--data.cache={tmp_path}/cache"]) == 0  # fmt: skip
    truth = sorted((study / "masks").glob("*.nii.gz"))[0]
    out = drawn(tmp_path / "run", truth, tmp_path / "out", "--members", "2")
    rows = read_manifest(out / "manifest.csv")
    told, first = (nibabel.load(row) for row in (rows[0].mask_file, rows[1].image_file))
    assert told.shape == first.shape
    assert np.allclose(told.affine, first.affine)
    assert np.asarray(told.dataobj).max() == np.asarray(nibabel.load(truth).dataobj).max(), "in its own values"
    assert np.asarray(first.dataobj).dtype == np.uint16, "as drawn volumes are read"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--translation.known", "low_resolution", "--classes", "[a,b]"], "belong to --translation.known mask"),
        (["--translation.known", "low_resolution", "--inference.guidance", "2"], "belongs to --translation.known mask"),
        (["--classes", "[background,disc,core,tail]"], "mask_values"),
    ],
)
def test_settings_of_masks_that_mean_nothing_end_in_a_sentence(words, said, tmp_path, capsys):
    manifest = draw_pairs(tmp_path / "data", 8)
    assert main(["train", *PICTURES, *NETWORK, *words, "--manifest", str(manifest), "--out", str(tmp_path / "x")]) == 2
    assert said in capsys.readouterr().err


def test_images_without_masks_and_guidance_of_other_runs_are_refused(tmp_path, capsys):
    manifest = draw_pairs(tmp_path / "data", 8)
    table = pd.read_csv(manifest).drop(columns="mask_path")
    table.to_csv(manifest, index=False)
    words = [*NETWORK, "--dataset", "image_folder", "--data.image_size", "16", "--manifest", str(manifest)]
    assert main(["train", *words, "--out", str(tmp_path / "x")]) == 2
    assert "has a mask, and masks are what images are drawn from" in capsys.readouterr().err


def test_colors_and_ranges_are_written_as_the_data_set_has_them():
    from meddiff.formats.masks import MaskMeaning
    from meddiff.formats.masks.meaning import NOT_JUDGED, Values, stored_values

    classes = np.array([[0, 1], [2, 255]], np.uint8)
    ranges = MaskMeaning("gray", (Values(0, 127, 0), Values(128, 254, 1), Values(1000, 1000, 2),
                                  Values(255, 255, NOT_JUDGED)))  # fmt: skip
    assert stored_values(classes, ranges).tolist() == [[0, 254], [1000, 255]]
    assert stored_values(classes, ranges).dtype == np.uint16
    colors = replace(ranges, way="color", values=(Values(0xFFFFFF, 0xFFFFFF, 0), Values(0xFF0000, 0xFF0000, 1),
                                                  Values(0x0000FF, 0x0000FF, 2)))  # fmt: skip
    assert stored_values(classes[:, :1], colors).tolist() == [[[255, 255, 255]], [[0, 0, 255]]]
    assert stored_values(classes, replace(ranges, way="name")).tolist() == classes.tolist()
