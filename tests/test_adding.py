"""Adding one thing is one file and one line: tried on a copy of the package, with the contract checks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ADDED = {
    "samplers/halfway.py": """
from meddiff.samplers.ddim import ddim


def halfway(denoise, schedule, x_T, timesteps, noise=None):
    yield from ddim(denoise, schedule, x_T, timesteps, noise)
""",
    "networks/shallow.py": """
from meddiff.networks.unet import ConditionalUNet


class Shallow(ConditionalUNet):
    pass
""",
    "tasks/gray.py": """
from dataclasses import dataclass

from meddiff.diffusion.condition import Condition


@dataclass(frozen=True)
class GrayTask:
    channels: int = 1

    def usable(self, row):
        return None

    def clean(self, batch):
        return batch.image.mean(dim=1, keepdim=True)

    def condition(self, batch):
        return Condition(image=batch.image)

    def decode(self, x_0):
        return x_0.clamp(-1, 1)
""",
    "sources/pictures_of_mine.py": """
from dataclasses import replace

from meddiff.sources.folders.image_folder import IMAGE_FOLDER

MINE = replace(IMAGE_FOLDER, name="mine", title="Pictures of mine")
""",
    "formats/numpy_file.py": """
import numpy as np

from meddiff.files.bad import bad_file
from meddiff.formats.volume import Volume


def read_numpy(path):
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise bad_file(path, f"it holds no array ({error})") from error
    return Volume(array, None, (None, None, None), None)
""",
    "metrics/classifiers/hits.py": """
import numpy as np

from meddiff.metrics.classifiers.discrimination import balanced_accuracy


def hits(labels, probabilities):
    return balanced_accuracy(labels, probabilities)
""",
}
LINES = {
    "build/tables.py": {
        "SAMPLERS": ("samplers.halfway", "halfway", '"halfway": Entry(halfway, "half way", "song2021"),'),
        "NETWORKS": ("networks.shallow", "Shallow", '"shallow": Entry(Shallow, "a shallow U-Net", "cardoso2022"),'),
        "TASKS": ("tasks.gray", "GrayTask", '"gray": Entry(GrayTask, "gray images drawn by colored ones", "ho2020"),'),
        "SOURCES": ("sources.pictures_of_mine", "MINE", '"mine": MINE,'),
    },
    "formats/open.py": {"READERS": ("formats.numpy_file", "read_numpy", '".npy": read_numpy,')},
}
CHECKED = """
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import meddiff
from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.metrics.classifiers.hits import hits
from tests.contracts import check_metric, check_network, check_reader, check_sampler, check_source, check_task

assert meddiff.__file__.startswith(sys.argv[1]), meddiff.__file__
check_sampler(build.SAMPLERS["halfway"])
check_network(lambda *args, **settings: build.NETWORKS["shallow"](*args, channels=(32, 32), **settings))
image = torch.rand(3, 3, 4, 4) * 2 - 1
batch = Batch(image=image, label=None, mask=None, index=torch.arange(3))
check_task(build.TASKS["gray"](), batch, image.mean(1, keepdim=True))
folder = Path(sys.argv[1]) / "pictures"
for name in ("a", "b"):
    (folder / name).mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (8, 8), (100, 50 * number, 0)).save(folder / name / f"{name}{number}.png")
check_source(build.source("mine"), folder)
voxels = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
np.save(folder / "head.npy", voxels)
check_reader(folder / "head.npy", voxels)
labels = np.array([0, 1, 2] * 4)
said = np.random.default_rng(0).dirichlet(np.ones(3), size=12)
check_metric(hits, labels, said, perfect=(labels, np.eye(3)[labels], 1.0))
"""


def test_one_file_and_one_line_add_a_sampler_network_task_data_set_format_and_metric(tmp_path):
    shutil.copytree(ROOT / "meddiff", tmp_path / "meddiff", ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in ADDED.items():
        (tmp_path / "meddiff" / path).write_text(text)
    for place, lines in LINES.items():
        file = tmp_path / "meddiff" / place
        text = file.read_text()
        for table, (module, name, line) in lines.items():
            start = text.index("{\n", text.index(f"\n{table}: ")) + 2
            text = f"{text[:start]}{line}\n{text[start:]}"
            text = text.replace("\nfrom meddiff.", f"\nfrom meddiff.{module} import {name}\nfrom meddiff.", 1)
        file.write_text(text)
    search = os.pathsep.join(map(str, (tmp_path, ROOT, ROOT / "tests")))
    command = [sys.executable, "-c", CHECKED, str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": search}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
