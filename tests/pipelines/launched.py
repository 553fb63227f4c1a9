"""Commands as torchrun or SLURM's srun starts them: several processes, told by their environment which one they are.

They are forked from a server that has imported the package once.
"""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["meddiff.jobs.job", "meddiff.pipelines.segment", "meddiff.jobs.segment.predict"])


@dataclass(frozen=True)
class Accident:
    """A process gets a signal when it calls a method for the n-th time."""

    method: str
    """module.Class.method, or module.function."""
    call: int
    rank: int = 1
    signal: int = signal.SIGKILL


def launch(
    words: Sequence[str], size: int, folder: Path, *, by: str = "torchrun", accident: Accident | None = None
) -> list[tuple[int, str]]:
    """Run ``python -m meddiff.pipelines.`` words in so many processes; returns exit code and output of each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = [folder / f"process{rank}.txt" for rank in range(size)]
    processes = [
        CONTEXT.Process(target=_process, args=(variables(by, rank, size, port), list(words), file, accident))
        for rank, file in enumerate(files)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode is not None, "it hangs"
    return [(process.exitcode or 0, file.read_text()) for process, file in zip(processes, files, strict=True)]


def variables(by: str, rank: int, size: int, port: int) -> dict[str, str]:
    """What the launcher tells a process, all on one machine."""
    if by == "srun":
        return {
            "MASTER_PORT": str(port),
            "SLURM_LOCALID": str(rank), "SLURM_NODEID": "0", "SLURM_NNODES": "1",
            "SLURM_NTASKS": str(size), "SLURM_STEP_NUM_TASKS": str(size), "SLURM_STEP_NUM_NODES": "1",
            "SLURM_STEP_NODELIST": "localhost",
        }  # fmt: skip
    of_fabric_run = {"LT_CLI_USED": "1", "LT_DEVICES": str(size), "LT_NUM_NODES": "1", "LT_ACCELERATOR": "cpu",
                     "LT_STRATEGY": "ddp"}  # fmt: skip
    return {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size),
        "GROUP_RANK": "0", "TORCHELASTIC_RUN_ID": "none",
    } | (of_fabric_run if by == "fabric run" else {})  # fmt: skip


def _process(environment: dict[str, str], words: list[str], output: Path, accident: Accident | None) -> None:
    import importlib

    import torch

    os.environ |= environment
    torch.set_num_threads(1)
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        if accident and accident.rank == int(environment.get("LOCAL_RANK", environment.get("SLURM_LOCALID", "0"))):
            _prepare(accident)
        code = importlib.import_module(f"meddiff.pipelines.{words[0]}").main(words[1:])
        sys.stdout.flush()
        sys.stderr.flush()
    sys.exit(code)


def _prepare(accident: Accident) -> None:
    import importlib

    place, _, name = accident.method.rpartition(".")
    try:
        owner = importlib.import_module(place)
    except ModuleNotFoundError:
        module, _, kind = place.rpartition(".")
        owner = getattr(importlib.import_module(module), kind)
    done, calls = getattr(owner, name), []

    def hit(*given, **named):
        outcome = done(*given, **named)
        calls.append(0)
        if len(calls) == accident.call:
            os.kill(os.getpid(), accident.signal)
        return outcome

    mock.patch.object(owner, name, hit).start()
