"""Does a training step wait for the GPU? PyTorch is told to refuse every wait, and 20 steps are done.

    python benchmarks/gpu_waits.py

Prints, for each network, images per second of graphs and of plain launches, and whether something waited.
"""

from __future__ import annotations

import time

import torch

from benchmarks.table.ours import OurTraining
from benchmarks.table.topics import SIZES

STEPS = 20


def main() -> int:
    """Print one line for each network; the exit status is 1 where something waited."""
    if not torch.cuda.is_available():
        print("no GPU here: nothing can wait for one")
        return 0
    waited = 0
    for network in ("edm2",):
        training = OurTraining(SIZES["cuda"], torch.device("cuda"), network)
        for _ in range(9):  # compiled, recorded
            training.step()
        torch.cuda.synchronize()
        begun = time.perf_counter()
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(STEPS):
                training.step()
        except RuntimeError as error:
            waited += 1
            print(f"{network}: a step waits for the GPU: {str(error).splitlines()[0]}")
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
        speed = STEPS * training.size.batch / (time.perf_counter() - begun)
        print(f"{network}: {speed:.0f} images/s at batch {training.size.batch}")
    return int(waited > 0)


if __name__ == "__main__":
    raise SystemExit(main())
