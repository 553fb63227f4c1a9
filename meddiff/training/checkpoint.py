"""Checkpoints: safetensors and JSON in one folder per step, complete or absent.

    step_00000500/  weights.safetensors  ema.safetensors  optimizer.safetensors  checkpoint.json
                    losses.safetensors   of trainings whose times depend on them alone

A folder is filled under a temporary name and renamed, so that a process killed at any moment leaves only complete
checkpoints. checkpoint.json names the hash of each file, so that a damaged one is found before it is used. Nothing is
ever unpickled. All that is written is all that a resumed run needs: see `loop`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.optim import Optimizer

from meddiff.errors import InputError
from meddiff.files.content import sha256_of
from meddiff.files.documents import read_json
from meddiff.files.writing import write_folder
from meddiff.networks.published import misfits
from meddiff.training.divergence import denoiser_diverged
from meddiff.training.facts import Facts, differences
from meddiff.training.state import State

WEIGHTS, AVERAGE, OPTIMIZER, INDEX = (
    "weights.safetensors",
    "ema.safetensors",
    "optimizer.safetensors",
    "checkpoint.json",
)
HISTORY = "losses.safetensors"
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as its index describes it."""

    path: Path
    step: int
    """Optimizer steps done."""
    final: bool
    """Whether training was finished; a final checkpoint is never removed."""
    facts: Facts
    sha256: dict[str, str]
    """Hash of each file."""
    stopped: bool = False
    """Made because somebody stopped the training: the next one takes its place."""
    about: str = ""
    """What a published model says of itself, in one line."""

    @property
    def digest(self) -> str:
        """Short hash of the averaged weights, by which a synthetic image names what drew it."""
        return self.sha256[AVERAGE][:16]


def save(
    folder: Path, step: int, state: State, *, facts: Facts, final: bool = False, stopped: bool = False
) -> Path:  # fmt: skip
    """Write ``folder/step_...`` and remove what is no longer needed: the last two and final ones stay.

    A checkpoint of a training that was ``stopped`` goes with the next, so that the run leaves what others leave.

    Raises:
        TrainingDiverged: a weight is not finite; nothing is written.
        InputError: full disk, read-only folder.
    """
    parts = {WEIGHTS: state.network.state_dict(), AVERAGE: state.ema.state_dict()}
    parts |= {OPTIMIZER: _flat_state(state.optimizer)}
    if state.objective.history is not None:
        parts |= {HISTORY: state.objective.history.state_dict()}
    if not all(bool(tensor.isfinite().all()) for part in parts.values() for tensor in part.values()):
        raise denoiser_diverged(step, latest(folder))

    def write(part: Path) -> None:
        for name, tensors in parts.items():
            # not save_file: its own error says nothing of a full disk that write_folder could read
            content = save_tensors({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()})
            (part / name).write_bytes(content)
        hashes = {name: sha256_of(part / name) for name in parts}
        index = {"step": step, "final": final, "stopped": stopped, "sha256": hashes, "facts": facts.to_dict()}
        (part / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")

    path = folder / _name(step)
    write_folder(path, write)
    tidy(folder)
    return path


def latest(folder: Path) -> Path | None:
    """Return the complete checkpoint with the most steps, or None. Half-written ones are ignored."""
    return max(_complete(folder), default=None)


def read_latest(folder: Path) -> Checkpoint:
    """Read the complete checkpoint with the most steps.

    Raises:
        InputError: there is none.
    """
    path = latest(folder)
    if path is None:
        raise InputError(f"there is no checkpoint in {folder}: run the training stage first")
    return read(path)


def at(folder: Path, step: int) -> Path | None:
    """Return the complete checkpoint of a step, or None."""
    path = folder / _name(step)
    return path if path in _complete(folder) else None


def tidy(folder: Path) -> None:
    """Keep the last two checkpoints and final ones; remove the others and what killed processes left.

    One of a stopped training counts for neither: it is kept while it is the newest.
    """
    complete = _complete(folder)
    stored = {path: read(path) for path in complete}
    passing = [path for path in complete if not stored[path].final and not stored[path].stopped]
    passed = {path for path in complete[:-1] if stored[path].stopped}
    for path in folder.glob("step_*"):
        if path in passing[:-KEPT] or path in passed or path not in complete:
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".step_*.part"):
        shutil.rmtree(path, ignore_errors=True)


def read(path: Path) -> Checkpoint:
    """Read what a checkpoint is, without its tensors.

    Raises:
        InputError: no checkpoint, or an index that cannot be read.
    """
    file = path / INDEX
    if not file.is_file():
        raise InputError(f"{path} is no checkpoint: it has no {INDEX}. Name a folder such as checkpoints/step_00001000")
    try:
        index: dict[str, Any] = read_json(file)
    except InputError as error:
        raise InputError(f"{file} is damaged ({error}): delete {path}, then an older checkpoint is used") from error
    try:
        if not isinstance(index["step"], int) or not isinstance(index["sha256"], dict):
            raise TypeError("step is a number, sha256 names files")
        about = index.get("about", "")
        return Checkpoint(path, index["step"], index["final"], Facts.from_dict(index["facts"]), index["sha256"],
                          index.get("stopped", False), about if isinstance(about, str) else "")  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is damaged ({error}): delete {path}, then an older checkpoint is used") from error


def check(checkpoint: Checkpoint, wanted: Facts, *, resuming: bool = False) -> None:
    """Refuse a checkpoint of other classes, sizes, network, schedule or prediction.

    ``resuming`` also refuses another manifest, seed or other settings that the weights are made with.

    Raises:
        InputError: every difference, spelled out.
    """
    differing = differences(checkpoint.facts, wanted, resuming=resuming)
    if differing:
        raise InputError(
            f"{checkpoint.path} belongs to another set-up: {'; '.join(differing)}. "
            "Use the settings of the checkpoint, or another run folder (--out)"
        )


def load_weights(checkpoint: Checkpoint, network: nn.Module, *, averaged: bool = True) -> None:
    """Load the averaged (or the raw) weights into a network of the same settings.

    Raises:
        InputError: a file that is damaged or does not fit the network.
    """
    file = AVERAGE if averaged else WEIGHTS
    tensors = _tensors_for(network, checkpoint, file)
    problems = misfits(network, tensors)
    if problems:
        raise InputError(f"{checkpoint.path / file} does not fit the network: {problems}")
    if broken := [name for name, tensor in tensors.items() if not bool(tensor.isfinite().all())]:
        raise InputError(f"{checkpoint.path / file} holds values that are no numbers, in {broken[0]}")
    network.load_state_dict(tensors)


def averaged(checkpoint: Checkpoint, network: nn.Module) -> dict[str, Tensor]:
    """Read the averaged weights by their names, for a network of that kind which they need not fit.

    Raises:
        InputError: the file is damaged.
    """
    return _tensors_for(network, checkpoint, AVERAGE)


def _tensors_for(network: nn.Module, checkpoint: Checkpoint, file: str) -> dict[str, Tensor]:
    """Read the tensors of a file, with what a network of that kind had before it was stored."""
    return {**getattr(network, "OLDER", {}), **_tensors(checkpoint, file)}


def resume(checkpoint: Checkpoint, training: State) -> int:
    """Put weights, average, optimizer state and losses back; returns the number of steps done.

    Raises:
        InputError: a file that is damaged or does not fit.
    """
    optimizer, history = training.optimizer, training.objective.history
    load_weights(checkpoint, training.network, averaged=False)
    load_weights(checkpoint, training.ema.network)
    state: dict[int, dict[str, Tensor]] = {}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for key, tensor in _tensors(checkpoint, OPTIMIZER).items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = _laid_out_as(weights[int(index)], tensor)
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    if history is not None:
        history.load_state_dict(_tensors(checkpoint, HISTORY))
    return checkpoint.step


def _laid_out_as(weight: Tensor, state: Tensor) -> Tensor:
    """Return a state in the memory layout of its weight: in another one the same sums are rounded otherwise."""
    return torch.empty_like(weight, device=state.device).copy_(state) if state.shape == weight.shape else state


def _flat_state(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return ``{"12.exp_avg": tensor}``: number of the parameter and name of its state."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": torch.as_tensor(value) for index, part in state.items() for name, value in part.items()}


def _tensors(checkpoint: Checkpoint, name: str) -> dict[str, Tensor]:
    """Return the tensors of one file, read once: what is checked is what is used."""
    file = checkpoint.path / name
    content = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(content).hexdigest() != checkpoint.sha256.get(name):
        raise InputError(f"{file} is missing or damaged: delete {checkpoint.path}, then an older checkpoint is used")
    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(f"{file} is no safetensors file ({error}): delete {checkpoint.path}") from error


def _complete(folder: Path) -> list[Path]:
    """Return complete checkpoints in the order of their steps."""
    return sorted(
        path
        for path in folder.glob("step_*")
        if all((path / name).is_file() for name in (WEIGHTS, AVERAGE, OPTIMIZER, INDEX))
    )


def _name(step: int) -> str:
    return f"step_{step:08d}"
