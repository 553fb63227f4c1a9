"""Does every command work on this machine's accelerator? All of them at their smallest, several at a time.

    python benchmarks/gpu_smoke.py                          # all, one line each; exit status 1 if one failed
    python benchmarks/gpu_smoke.py --list                   # what they are
    python benchmarks/gpu_smoke.py --only predict_volumes   # this one, after those whose outputs it reads

Two training steps each on drawn data, with the arithmetic that the machine gets without being told (bf16 where it has
it). On a GPU a command has passed only if its networks lay there: PyTorch's own count of allocated bytes says so.
Without a GPU everything runs on the CPU, and the first line says so. No figure of the outputs means anything.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from smoke_commands import Command, all_commands, prepare

GIB = 2**30
GPU_GIB_EACH, GIB_EACH = 3, 2
"""Memory that one of the commands may need on the GPU (most of it the context), and of the machine's."""
LONGEST_S = 600
TAIL = 15
HERE = Path(__file__).resolve().parent
PASSED, FAILED, SKIPPED = "passed", "FAILED", "skipped"


@dataclass(frozen=True)
class Machine:
    """What the commands run on."""

    gpu: str
    """Name of the GPU; empty where there is none that PyTorch can use."""
    gpu_memory: int
    """Free bytes of it."""

    @property
    def jobs(self) -> int:
        """How many commands run at a time: one per core, as far as the memories reach."""
        rooms = [os.cpu_count() or 1, psutil.virtual_memory().available // (GIB_EACH * GIB)]
        return max(1, min([*rooms, self.gpu_memory // (GPU_GIB_EACH * GIB)] if self.gpu else rooms))


@dataclass(frozen=True)
class Outcome:
    """How one command ended."""

    name: str
    verb: str
    status: str
    seconds: float = 0.0
    device: str = ""
    """cuda, cpu, or ``none`` where it asks for no accelerator."""
    reason: str = ""
    output: str = ""
    """The end of what it printed, where it failed."""

    @property
    def line(self) -> str:
        """For the table."""
        words = f"{self.status:8} {self.seconds:6.1f} s  {self.device:5} {self.name:24} {self.verb:22} {self.reason}"
        return words.rstrip()


def machine() -> Machine:
    """Ask in a process of its own: this one shall hold nothing on the GPU."""
    ask = "import torch; ok = torch.cuda.is_available(); print(torch.cuda.get_device_name() if ok else '')"
    ask += "\nprint(torch.cuda.mem_get_info()[0] if ok else 0)"
    name, memory = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )[:2]
    return Machine(name, int(memory))


def run_command(command: Command, folder: Path, on: Machine, threads: int) -> Outcome:
    """Run one command in ``folder``; its output goes to ``NAME.log`` there."""
    module, *words = command.words.split()
    note, log = folder / f"{command.name}.bytes", folder / f"{command.name}.log"
    path = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    settings = {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "XDG_CACHE_HOME": str(folder / "cache")}
    line = [sys.executable, str(HERE / "smoke_process.py"), note.name, f"meddiff.pipelines.{module}", *words]
    begun = time.perf_counter()
    with log.open("w") as out:
        try:
            code = subprocess.run(
                line, cwd=folder, env=os.environ | settings, stdout=out, stderr=subprocess.STDOUT, timeout=LONGEST_S,
                check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            code = None
    seconds = time.perf_counter() - begun
    allocated = int(note.read_text()) if note.is_file() else 0
    output = log.read_text(errors="replace")
    status, reason = verdict(command, code, output, used_gpu=allocated > 0, gpu=bool(on.gpu), folder=folder)
    device = "cuda" if allocated else "cpu" if command.network else "none"
    tail = "\n".join(output.splitlines()[-TAIL:]) if status == FAILED else ""
    return Outcome(command.name, command.verb, status, round(seconds, 1), device, reason, tail)


def verdict(
    command: Command, code: int | None, output: str, *, used_gpu: bool, gpu: bool, folder: Path
) -> tuple[str, str]:
    """Status and reason, from how the process ended and what it left behind."""
    if code is None:
        return FAILED, f"stopped after {LONGEST_S} s"
    if code and "No module named 'SimpleITK'" in output and importlib.util.find_spec("SimpleITK") is None:
        return SKIPPED, "needs SimpleITK"
    if code:
        return FAILED, f"exit status {code}"
    if not (folder / command.leaves).exists():
        return FAILED, f"it left no {command.leaves}"
    if gpu and command.network and not used_gpu:
        return FAILED, "it never used the GPU"
    return PASSED, ""


def run_all(commands: dict[str, Command], folder: Path, on: Machine, jobs: int) -> Iterator[Outcome]:
    """Run them, ``jobs`` at a time, each after the one that it builds on; yields them as they end."""
    waiting, ended, running = dict(commands), {}, {}
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with ThreadPoolExecutor(jobs) as pool:
        while waiting or running:
            for command in [*waiting.values()]:
                before = ended.get(command.after)
                if before and before.status != PASSED:
                    del waiting[command.name]
                    reason = f"not run: {command.after} has not passed"
                    ended[command.name] = Outcome(command.name, command.verb, before.status, reason=reason)
                    yield ended[command.name]
                elif before or not command.after:
                    del waiting[command.name]
                    running[pool.submit(run_command, command, folder, on, threads)] = command
            for outcome in _next_ended(running):
                ended[outcome.name] = outcome
                yield outcome


def _next_ended(running: dict[Future[Outcome], Command]) -> list[Outcome]:
    if not running:
        return []
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        del running[future]
    return [future.result() for future in done]


def chosen(names: Sequence[str]) -> dict[str, Command]:
    """The named commands with those that they build on; all where none is named.

    Raises:
        SystemExit: a name that there is not.
    """
    commands = all_commands()
    if unknown := sorted(set(names) - set(commands)):
        raise SystemExit(f"there is no command {', '.join(unknown)}: --list shows the names")
    wanted = set(names or commands)
    while missing := {commands[name].after for name in wanted} - wanted - {""}:
        wanted |= missing
    return {name: command for name, command in commands.items() if name in wanted}


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="show the commands, and run none")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="run these, and what they build on")
    parser.add_argument("--jobs", type=int, default=0, metavar="N", help="commands at a time; else as memory allows")
    parser.add_argument("--out", default="", metavar="FILE.json", help="the table as JSON")
    told = parser.parse_args(argv)
    commands = chosen(told.only)
    if told.list:
        for command in commands.values():
            print(f"{command.name:24} python -m meddiff.pipelines.{command.words}")
        return 0
    return _smoke(commands, told.jobs, told.out)


def _smoke(commands: dict[str, Command], jobs: int, out: str) -> int:
    on, begun = machine(), time.perf_counter()
    jobs = min(jobs or on.jobs, len(commands))
    where = f"on {on.gpu}" if on.gpu else "on the CPU, since PyTorch finds no GPU here"
    print(f"{len(commands)} commands {where}, {jobs} at a time, {os.cpu_count()} cores", flush=True)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="gpu_smoke") as name:
        prepare(Path(name))
        for outcome in run_all(commands, Path(name), on, jobs):
            print(outcome.line, flush=True)
            outcomes.append(outcome)
    seconds = time.perf_counter() - begun
    for failed in (outcome for outcome in outcomes if outcome.output):
        print(f"\n--- the end of {failed.name}:\n{failed.output}")
    count = {status: sum(one.status == status for one in outcomes) for status in (PASSED, FAILED, SKIPPED)}
    print(f"\n{', '.join(f'{number} {status}' for status, number in count.items())}, in {seconds:.0f} s {where}")
    if out:
        table = {"device": on.gpu or "cpu", "seconds": round(seconds, 1), "commands": [asdict(one) for one in outcomes]}
        Path(out).write_text(json.dumps(table, indent=2))
    return int(count[FAILED] > 0)


if __name__ == "__main__":
    raise SystemExit(main())
