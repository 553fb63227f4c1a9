"""Who a process is among many, as its launcher says; and what SLURM's batch file starts."""

import os
import shutil
import subprocess

import pytest

from meddiff.command_line import recipes_folder
from meddiff.errors import InputError
from meddiff.training.processes.launchers import started

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4",
    "GROUP_RANK": "1", "MASTER_ADDR": "first", "MASTER_PORT": "29500",
}  # fmt: skip
SRUN = {
    "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_NODEID": "1", "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[03-04,9],cpu1", "SLURM_JOB_ID": "123456", "SLURM_PROCID": "3", "SLURM_NTASKS": "8",
}  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "address", "port"), [(TORCHRUN, "first", 29500), (SRUN, "gpu03", 18456)], ids=["torchrun", "srun"]
)
def test_a_process_knows_its_place(variables, address, port):
    one = started(variables)
    assert one is not None
    assert (one.rank, one.size, one.nodes, one.on_each, one.local_rank) == (5, 8, 2, 4, 1)
    assert (one.address, one.port) == (address, port)


@pytest.mark.parametrize(("nodes", "first"), [
    ("gpu1", "gpu1"), ("gpu[7]", "gpu7"), ("gpu[07,09]", "gpu07"), ("a-b[1-3]", "a-b1"), ("one,two[3-4]", "one"),
])  # fmt: skip
def test_the_first_machine_of_a_list(nodes, first):
    one = started(SRUN | {"SLURM_STEP_NODELIST": nodes})
    assert one is not None
    assert one.address == first


@pytest.mark.parametrize("variables", [
    {}, TORCHRUN | {"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "0", "LOCAL_RANK": "0"},
    {"SLURM_NTASKS": "8", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "1"},
    SRUN | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_NUM_NODES": "1"},
], ids=["no launcher", "torchrun of one", "a batch script itself", "srun of one"])  # fmt: skip
def test_a_process_that_is_alone(variables):
    assert started(variables) is None


def test_machines_with_different_numbers_of_processes_are_refused():
    with pytest.raises(InputError, match="srun has started 7 processes on 2 machines: start the same number on each"):
        started(SRUN | {"SLURM_STEP_NUM_TASKS": "7"})


@pytest.mark.parametrize(("words", "shares"), [
    (["train", "--out", "a b"], ["--training.devices", "4", "--training.nodes", "2"]),
    (["segment", "predict", "--input", "x"], []),
])  # fmt: skip
def test_the_batch_file_starts_the_command_with_as_many_devices_as_there_are_tasks(tmp_path, words, shares):
    srun = tmp_path / "srun"
    srun.write_text('#!/bin/sh\nfor word in "$@"; do echo "$word"; done\n')
    srun.chmod(0o755)
    place = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2"}
    file = recipes_folder() / "slurm.sbatch"
    said = subprocess.run([shutil.which("bash") or "", file, *words], env=place, capture_output=True, text=True)
    command = ["--kill-on-bad-exit=1", "python", "-m", f"meddiff.pipelines.{words[0]}", *words[1:], *shares]
    assert said.stdout.splitlines() == command, said.stderr
