"""Work that several processes share: spawned ones of this machine, or those that a launcher has started.

The first process does the command. The others do nothing of it: they wait, and do their part of each work that the
first one shares out (`together`). So there is one way through the stages of a command, and files have one writer where
they cannot have several. Without a launcher processes are spawned for each shared work, and end with it.

When a process is lost, the others end with a sentence: nobody can be sure of a work that a part is missing of. All that
is shared goes on from what it has written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
import torch.distributed as distributed
from lightning_fabric import Fabric
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from meddiff.errors import InputError
from meddiff.training.fabric import PATIENCE, PrecisionName, build_fabric
from meddiff.training.processes.launchers import Started
from meddiff.training.processes.signals import Stopped

Work = Callable[[Fabric], None]
"""What each process does; it can be pickled. The fabric says which process it is, of how many."""
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out", "NCCL", "Socket")
"""Parts of what PyTorch says when another process does not answer any more."""
GOES_ON = "The same command goes on from what stands"


class Crew:
    """The processes that a launcher has started, as one of them sees them."""

    def __init__(self, started: Started) -> None:
        for name in [name for name in os.environ if name.startswith("LT_")]:
            del os.environ[name]  # of `fabric run`: what they say is in the recipe, or known already
        os.environ |= {
            "LOCAL_RANK": str(started.local_rank), "NODE_RANK": str(started.node),
            "MASTER_ADDR": started.address, "MASTER_PORT": str(started.port),
        }  # fmt: skip
        self.started = started
        self._broken = False
        """Whether an error has ended a shared work, in which others may be waiting still."""
        self.fabric("32")
        _talk_past_gpus()

    def fabric(self, precision: PrecisionName) -> Fabric:
        """Return the fabric of all processes."""
        fabric = build_fabric(devices=self.started.on_each, nodes=self.started.nodes, joined=True, precision=precision)
        fabric.launch()
        return fabric

    def lead(self, work: Callable[[], int | None]) -> int:
        """Do a command's work as the first process, and let the others go when it has ended."""
        code = 2
        try:
            code = work() or 0
        finally:
            if not self._broken:
                with suppress(RuntimeError):  # one that has gone already
                    self._say(code)
        return code

    def follow(self) -> int:
        """Do what the first process shares out until it has ended; returns its exit code."""
        try:
            with in_words(self.started.rank, self.started.size):
                while not isinstance(said := self._say(None), int):
                    self._do(*said)
        except Stopped as stopped:  # the first process says so
            return 128 + stopped.number
        return said

    def share(self, work: Work, precision: PrecisionName) -> None:
        """Do a work together with the other processes."""
        self._say((work, precision))
        self._broken = True
        self._do(work, precision)
        self._broken = False

    def _do(self, work: Work, precision: PrecisionName) -> None:
        with in_words(self.started.rank, self.started.size):
            work(self.fabric(precision))
            distributed.barrier(_groups[0])

    def _say(self, order: Any) -> Any:
        """Return what the first process says: a work, or the exit code of the command."""
        said = [order]
        distributed.broadcast_object_list(said, group=_groups[0])
        return said[0]


_crews: list[Crew] = []
"""That of this process, if a launcher has started it."""


def joined(started: Started, work: Callable[[], int | None]) -> int:
    """Do a command's work as one of several processes; returns the exit code.

    Raises:
        InputError: a mistake of the user, in the first process; another process is lost.
    """
    crew = Crew(started)
    _crews.append(crew)
    try:
        return crew.follow() if started.rank else crew.lead(work)
    finally:
        _crews.clear()
        _groups.clear()
        if not crew._broken:
            distributed.destroy_process_group()


def together(work: Work, *, devices: int = 1, nodes: int = 1, precision: PrecisionName = "auto") -> None:
    """Do a work in all processes: those that a launcher has started, else as many as are asked for.

    Args:
        work: what each does.
        devices: processes, where there is no launcher.
        nodes: machines.
        precision: of the fabric.

    Raises:
        InputError: more than one machine without a launcher; another process is lost; and what a process raises.
    """
    if _crews:
        _crews[0].share(work, precision)
        return
    if nodes > 1:
        raise InputError(
            f"training.nodes is {nodes}: processes on several machines are started by torchrun, fabric run or srun on "
            "each of them, see docs/many_devices.md"
        )
    fabric = build_fabric(devices=devices, precision=precision)
    if devices == 1:
        work(fabric)
        return
    try:
        fabric.launch(partial(_spawned, work=work))
    except ProcessRaisedException as error:
        raise _mistake_in(error) from error
    except ProcessExitedException as error:
        raise InputError(f"one of {devices} processes was ended from outside ({error}). {GOES_ON}") from error


def refuse_other_number(devices: int, nodes: int) -> None:
    """Refuse to train with another number of processes than the recipe says: weights depend on it.

    Raises:
        InputError: how many were started, and what to write.
    """
    started = _crews[0].started if _crews else None
    if started is not None and started.size != devices * nodes:
        raise InputError(
            f"{started.launcher} has started {started.size} processes on {started.nodes} machines, and the recipe "
            f"trains on {devices} devices of {nodes}: write --training.devices {started.on_each} "
            f"--training.nodes {started.nodes}, or start as many"
        )


def any_of(fabric: Fabric, here: bool) -> bool:
    """Say whether something is so in some process; all hear the same, and no GPU waits for it."""
    if fabric.world_size == 1:
        return here
    count = torch.tensor(int(here))
    distributed.all_reduce(count, group=_groups[0])
    return bool(count)


_groups: list[distributed.ProcessGroup] = []
"""All processes, as they talk past the GPUs; empty in a process that is alone."""


def _talk_past_gpus() -> None:
    group: Any = distributed.new_group(backend="gloo", timeout=PATIENCE)
    _groups[:] = [group]


def _spawned(fabric: Fabric, work: Work) -> None:
    _talk_past_gpus()
    with in_words(fabric.global_rank, fabric.world_size):
        work(fabric)


@contextmanager
def in_words(rank: int, size: int) -> Iterator[None]:
    """Make a sentence of what PyTorch says when another process is lost.

    Raises:
        InputError: the sentence.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(part in str(error) for part in LOST):
            raise
        raise InputError(
            f"process {rank} of {size} (counted from 0) waits for one that has ended; that one, or the system, has "
            f"said why. {GOES_ON}"
        ) from error


def _mistake_in(error: ProcessRaisedException) -> Exception:
    """Find the mistake that a user can cure in the traceback that is all another process leaves."""
    for kind in (InputError, *InputError.__subclasses__()):
        _, mark, sentence = str(error).rpartition(f"\n{kind.__module__}.{kind.__qualname__}: ")
        if mark:
            return InputError(sentence.strip())
    return error
