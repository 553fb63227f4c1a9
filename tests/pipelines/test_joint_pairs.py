"""Images drawn together with their masks, and pairs that can be trained on, on drawn pictures."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff import load
from meddiff.errors import InputError
from meddiff.formats.masks import load_mask
from meddiff.formats.masks.meaning import read_meaning
from meddiff.manifest.table import read_manifest
from meddiff.pipelines.segment import main as segment
from meddiff.pipelines.synthesize import main
from meddiff.trained import load_generator
from tests.pipelines.drawn_pairs import VALUES, draw_pairs

MEANING = ",".join(f"{value}={name}" for name, value in VALUES.items())
SMALL = ["--dataset", "image_folder", "--data.image_size", "16", "--data.channels", "1", "--data.mask_values", MEANING,
         "--training.batch_size", "16", "--training.warmup_steps", "2"]  # fmt: skip


def drawn(data: Path) -> Path:
    assert main([*SMALL, "--manifest", str(data), "--out", str(data.parent / "run"), "--label", "none",
                 "--classes", "[background,disc,core]", "--network.channels", "[16,32]", "--training.steps", "60",
                 "--network.head_channels", "16", "--network.residual_blocks", "1", "--training.learning_rate", "4e-3",
                 "--training.ema_decay", "0.9", "--training.sample_every", "60", "--synthesis.steps", "6",
                 "--synthesis.per_class", "12", "--synthesis.guidance", "1", "--synthesis.oversample", "1",
                 f"--data.cache={data.parent}/cache"]) == 0  # fmt: skip
    return data.parent / "run"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return drawn(draw_pairs(tmp_path_factory.mktemp("joint"), 60))


def test_a_lost_mask_is_drawn_again_as_it_was(made, capsys):
    row = read_manifest(made / "synthetic_manifest.csv")[3]
    before = [file.read_bytes() for file in (row.image_file, row.mask_parts[0].path)]
    row.mask_parts[0].path.unlink()
    drawn(made.parent / "manifest.csv")
    assert "2/3 train: done before, skipped" in capsys.readouterr().out
    assert [file.read_bytes() for file in (row.image_file, row.mask_parts[0].path)] == before


def test_drawn_masks_mark_what_drawn_images_show(made):
    rows, meaning = read_manifest(made / "synthetic_manifest.csv"), read_meaning(made / "mask_values.json")
    assert len(rows) == 12
    discs, cores, sizes = [], [], []
    for row in rows:
        picture = np.asarray(Image.open(row.image_file)).astype(float)
        mask = load_mask(row.mask_parts[0].path, meaning=meaning)
        assert picture.shape == mask.shape == (16, 16)
        assert set(np.unique(np.asarray(Image.open(row.mask_parts[0].path)))) <= {0, 128, 255}, "the data set's values"
        sizes.append((mask > 0).mean())
        around = picture[mask == 0].mean()
        discs += [picture[mask == 1].mean() - around] if (mask == 1).any() else []
        cores += [picture[mask == 2].mean() - around] if (mask == 2).any() else []
    assert len(discs) >= 6, "most pairs hold a disc"
    assert np.median(discs) < -10, "which is darker than what is around it: in gray, a bright red is"
    assert np.median(cores) > 10, "and its core brighter, as in the real ones"
    assert 0.02 < np.mean(sizes) < 0.6


def test_a_program_draws_both_and_what_needs_images_alone_says_no(made):
    drawn = load(made)(seed=3)
    assert tuple(drawn.shape) == (1 + 2, 16, 16), "the image, and two digits of three classes"
    with pytest.raises(InputError, match="draws masks with its images"):
        load_generator(made)


def test_joint_pairs_join_a_segmenter_unless_their_run_has_seen_who_judges(made, tmp_path, capsys):
    words = ["augment", *SMALL, "--manifest", str(made.parent / "manifest.csv"), "--study.seeds", "1",
             "--study.pairs", str(made / "synthetic_manifest.csv"), "--study.sizes", "[0]", "--training.steps", "1",
             "--study.arms", "[real,real_synthetic]", "--baseline.channels", "[4,8]", "--evaluation.resamples", "100",
             f"--data.cache={made.parent}/cache"]  # fmt: skip
    assert segment([*words, "--out", str(tmp_path / "study")]) == 0
    cases = pd.read_csv(tmp_path / "study" / "cases.csv")
    assert set(cases.query("model == 'real_synthetic'")["n_drawn"]) == {12}
    assert segment([*words, "--out", str(tmp_path / "other"), "--seed", "5"]) == 2
    assert "has learned from" in capsys.readouterr().err
