"""The place of a process among those that torchrun, `fabric run` or SLURM's srun have started, as they tell it.

`fabric run` is torchrun with a few variables more. Nothing here imports torch: commands ask before they do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from meddiff.errors import InputError


@dataclass(frozen=True)
class Started:
    """A process among those that a launcher has started, the same number on each machine."""

    launcher: str
    """torchrun or srun."""
    size: int
    """Processes on all machines."""
    nodes: int
    """Machines."""
    node: int
    """Number of this machine."""
    local_rank: int
    """Number of this process on its machine."""
    address: str
    """Machine of the first process, which the others call."""
    port: int
    """Port that it listens at."""

    @property
    def on_each(self) -> int:
        """Processes of a machine."""
        return self.size // self.nodes

    @property
    def rank(self) -> int:
        """Number of this process among all."""
        return self.node * self.on_each + self.local_rank


def started(variables: Mapping[str, str] = os.environ) -> Started | None:
    """Say which of several processes this one is, None where no launcher has started more than one.

    Raises:
        InputError: machines with different numbers of processes.
    """
    if "TORCHELASTIC_RUN_ID" in variables:
        names = "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "LOCAL_RANK", "MASTER_PORT"
        size, on_each, node, local_rank, port = (int(variables[name]) for name in names)
        one = Started("torchrun", size, -(-size // on_each), node, local_rank, variables["MASTER_ADDR"], port)
    elif "SLURM_STEP_NUM_TASKS" in variables:  # of srun alone; a batch script itself has SLURM_NTASKS too
        names = "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_NODES", "SLURM_NODEID", "SLURM_LOCALID"
        address = variables.get("MASTER_ADDR") or _first_of(variables.get("SLURM_STEP_NODELIST", "127.0.0.1"))
        port = int(variables.get("MASTER_PORT") or 15000 + int(variables.get("SLURM_JOB_ID", "0")) % 10000)
        size, nodes, node, local_rank = (int(variables[name]) for name in names)
        one = Started("srun", size, nodes, node, local_rank, address, port)
    else:
        return None
    if one.size % one.nodes:
        raise InputError(
            f"{one.launcher} has started {one.size} processes on {one.nodes} machines: start the same number on each"
        )
    return one if one.size > 1 else None


def _first_of(nodes: str) -> str:
    """Return the first machine of a list as SLURM writes it: ``gpu[03-05,9],cpu1`` -> ``gpu03``."""
    name, bracket, numbers = nodes.partition(",")[0].partition("[")
    return name + numbers.partition("-")[0].rstrip("]") if bracket else name
