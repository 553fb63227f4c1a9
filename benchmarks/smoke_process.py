"""One command of `gpu_smoke.py` in a process of its own: what ``python -m MODULE`` does, and a note on the GPU.

    python benchmarks/smoke_process.py NOTE MODULE [WORD ...]

NOTE gets the bytes that PyTorch has allocated on the GPU in all, also those given back: 0 says that it never worked.
"""

import runpy
import sys
from pathlib import Path


def allocated_bytes() -> int:
    """What the process has asked the GPU for so far; 0 where it has not imported torch or used no GPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return 0
    return sum(
        torch.cuda.memory_stats(device).get("allocated_bytes.all.allocated", 0)
        for device in range(torch.cuda.device_count())
    )


if __name__ == "__main__":
    note, module, *words = sys.argv[1:]
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        Path(note).write_text(str(allocated_bytes()))
