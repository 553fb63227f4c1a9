"""Do groups of at least four channels make better images than as many groups as fit? Both on the same drawn images.

    OMP_NUM_THREADS=1 python benchmarks/group_norm.py --out runs/groups

The norms of `unet` had gcd(32, *channels) groups: single channels where a level has 32 of them, pairs
where the narrowest has 64. The figures are those of `learning`: how often a classifier of real images names the label
that an image was drawn for, and the Frechet distance to held-out images. Pairs share data, seeds, steps and classifier.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from learning import Learned, measure
from rich.console import Console

from meddiff.command_line import AUGMENT, parse_recipe
from meddiff.jobs import job
from meddiff.networks import unet
from meddiff.recipe import NetworkRecipe, Recipe

NARROW = NetworkRecipe(channels=(32, 64), residual_blocks=1, attention_levels=0, patch_size=2)
GROUPS = {"former": int(unet.ConditionalUNet.OLDER["group_channels"]), "present": unet.GROUP_CHANNELS}


def learned(recipe: Recipe, groups: str, out: Path, per_class: int) -> Learned:
    """Train with such groups and judge what is drawn."""
    shutil.rmtree(out, ignore_errors=True)
    unet.GROUP_CHANNELS = GROUPS[groups]
    run = job.run(replace(recipe, out=str(out)), until="filter", console=Console(quiet=True))
    return measure(run, per_class=per_class)


def main() -> None:
    """Train every pair and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, default=3, help="pairs per network (%(default)s)")
    parser.add_argument("--per-class", type=int, default=40, help="images drawn per class (%(default)s)")
    given = parser.parse_args()
    words = "--dataset phantom --preset quick --data.phantom_images 400 --filter.confidence 0 --synthesis.per_class 8"
    quick = parse_recipe("augment", "", words.split(), AUGMENT)
    print("channels        seed  groups   label named right  Frechet distance", flush=True)
    for network in (NARROW, quick.network):
        found: dict[str, list[Learned]] = {name: [] for name in GROUPS}
        for seed in range(given.seeds):
            for name, of_name in found.items():
                recipe = replace(quick, network=network, seed=seed)
                one = learned(recipe, name, given.out / f"{network.channels[0]}-{seed}-{name}", given.per_class)
                of_name.append(one)
                widths = str(list(network.channels))
                print(f"{widths:14}  {seed:>4}  {name:7}  {one.agreement:>17.1%}  {one.frechet[0]:.2f}", flush=True)
        more = np.mean([b.agreement - a.agreement for a, b in zip(*found.values(), strict=True)])
        ratio = np.exp(np.mean([np.log(b.frechet[0] / a.frechet[0]) for a, b in zip(*found.values(), strict=True)]))
        print(f"present against former: labels {more:+.1%}, Frechet distance x {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
