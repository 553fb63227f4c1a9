"""The table: ours beside other packages, interleaved in one process, each case in turn.

    python -m benchmarks                                     # all topics on this machine's processor
    python -m benchmarks --device cuda --json table.json     # on its GPU, timed by its own events
    python -m benchmarks --topic training --rounds 5         # one topic
    python -m benchmarks --rehearse                          # everything at its smallest: does it run?

Ratios are medians of those within a round, so that what else the machine does cancels: above 1 the first row is
faster. On a processor they are of processor time on --threads threads; on a GPU of its own time. A row whose number of
weights differs by more than 5% from the first row's is marked. What is not installed is left out with a sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.table.measure import Row, measured, peak_of
from benchmarks.table.peers import stand_in
from benchmarks.table.topics import TOPICS, Told

ROUNDS = {"rehearse": 2, "cpu": 5, "cuda": 11}
UNLIKE = 0.05


def printed(topic: str, rows: list[Row]) -> str:
    """Return the table of a topic."""
    head = f"{'':46} {'weights':>9} {'wall ms':>10} {'CPU ms':>10} {'per s':>10} {'ratio':>7} {'of peak':>8} {'MiB':>7}"
    lines = [f"\n{topic}: {(TOPICS[topic].__doc__ or '').strip()}", head]
    for row in rows:
        unlike = rows[0].weights and abs(row.weights / rows[0].weights - 1) > UNLIKE
        weights = f"{row.weights / 1e6:.2f}M{'*' if unlike else ''}" if row.weights else ""
        share = f"{row.share_of_peak:.1%}" if row.share_of_peak else ""
        memory = f"{row.memory_mib:.0f}" if row.memory_mib else ""
        lines.append(f"{row.name:46} {weights:>9} {row.wall_s * 1e3:10.2f} {row.cpu_s * 1e3:10.2f} "
                     f"{row.per_second:10.1f} {row.times_first:7.2f} {share:>8} {memory:>7}")  # fmt: skip
    if any(rows[0].weights and abs(row.weights / rows[0].weights - 1) > UNLIKE for row in rows):
        lines.append("* weights differ by more than 5% from the first row's")
    return "\n".join(lines)


def memory_rows(told: Told) -> list[dict]:
    """Measure the memory that a training step of each case adds, each in a process of its own."""
    rows = []
    for number in range(99):
        line = [sys.executable, "-m", "benchmarks", "--memory_of", str(number), "--device", told.device.type]
        line += ["--rehearse"] * (told.size == "rehearse")
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode:
            break
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    return rows


def memory_of(told: Told, number: int) -> int:
    """Print what one case of the training topic adds to this process; the exit status is 1 where there is none."""
    cases = TOPICS["training"](told) if number < 0 else _only(told, number)
    if not cases:
        return 1
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        cases[0].run()
    added = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"name": cases[0].name, "added_mib": round(added, 1)}))
    return 0


def _only(told: Told, number: int) -> list:
    from benchmarks.table.measure import Case
    from benchmarks.table.ours import OurTraining
    from benchmarks.table.peers import PEERS, PeerTraining, why_not
    from benchmarks.table.topics import SIZES

    size, here = SIZES[told.size], [peer for peer in PEERS if not why_not(peer.module)]
    makers = [(f"ours, {name}", lambda name=name: OurTraining(size, told.device, name)) for name in ("edm2", "unet")]
    makers += [(f"{peer.name}, {'bf16' if bf16 else 'fp32'}",
                lambda peer=peer, bf16=bf16: PeerTraining(peer, size, told.device, bf16=bf16))
               for peer in here for bf16 in (False, True)]  # fmt: skip
    return [Case(makers[number][0], makers[number][1]().step, size.batch)] if number < len(makers) else []


def main() -> int:
    """Print the table; returns the exit status."""
    parser = argparse.ArgumentParser("benchmarks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--topic", action="append", choices=(*TOPICS, "memory"), help="this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=0, help="turns of each case")
    parser.add_argument("--threads", type=int, default=1, help="of the processor (%(default)s)")
    parser.add_argument("--json", type=Path, default=None, help="file for the figures")
    parser.add_argument("--rehearse", action="store_true", help="everything at its smallest")
    parser.add_argument("--memory_of", type=int, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    stand_in()
    size = "rehearse" if given.rehearse else given.device
    told = Told(torch.device(given.device), size, lambda sentence: print(sentence, flush=True))
    if given.memory_of is not None:
        return memory_of(told, given.memory_of)
    return _table(told, given.topic or [*TOPICS, "memory"], given.rounds or ROUNDS[size], given.json)


def _table(told: Told, topics: list[str], rounds: int, file: Path | None) -> int:
    peak = peak_of(told.device)
    name = torch.cuda.get_device_name() if told.device.type == "cuda" else platform.processor() or platform.machine()
    machine = {"device": name, "peak_tflops": round(peak / 1e12, 3), "threads": torch.get_num_threads(),
               "cores": os.cpu_count(), "torch": torch.__version__, "size": told.size, "rounds": rounds}  # fmt: skip
    print(" ".join(f"{key} {value}" for key, value in machine.items()), flush=True)
    table: dict[str, object] = {"machine": machine}
    for topic in topics:
        begun = time.monotonic()
        if topic == "memory":
            rows = memory_rows(told) if told.device.type == "cpu" else []
            for row in rows:
                print(f"{'memory of a training step: ' + row['name']:70} {row['added_mib']:10.1f} MiB", flush=True)
        else:
            found = measured(cases, rounds, told.device, peak) if (cases := TOPICS[topic](told)) else []
            rows = [asdict(row) for row in found]
            print(printed(topic, found) if found else f"\n{topic}: not on this device", flush=True)
        table[topic] = rows
        print(f"({time.monotonic() - begun:.0f} s)", flush=True)
        if file is not None:
            file.write_text(json.dumps(table, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
