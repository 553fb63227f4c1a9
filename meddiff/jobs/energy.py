"""The energy that a piece of work took, where the machine can be asked: None where it cannot.

- Processors: the RAPL counters of Linux (``/sys/class/powercap/intel-rapl:<package>``, of AMD's processors too). They
  count whatever runs on the packages, not this program alone; since 2020 most systems let only root read them.
- GPUs: the counter of NVIDIA's driver (NVML, ``nvmlDeviceGetTotalEnergyConsumption``) of those that this process sees.

What is not counted: memory, disks, fans, the power supply. No share of it is guessed, and no emission.
"""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
JOULES_PER_WH = 3600.0
POLL_S = 20.0  # a package counter of 32 bits in units of 15 uJ wraps after 65 kJ: five minutes at 220 W


class EnergyMeter:
    """Counts between entering and leaving; the counters wrap, so a thread reads them in between."""

    def __init__(self, powercap: Path = POWERCAP):
        self._packages = {zone: _limit_uj(zone) for zone in sorted(powercap.glob("*-rapl:[0-9]*"))
                          if zone.name.count(":") == 1 and _limit_uj(zone)}  # fmt: skip
        self._last: dict[Path, int] = {}
        self._spent_uj = 0
        self._gpu_mj: list[int | None] = []
        self._left = threading.Event()
        self.cpu_wh: float | None = None
        """Of the processor packages; None where it cannot be read."""
        self.gpu_wh: float | None = None
        """Of the GPUs that this process sees; None without one, or where the driver does not tell."""

    def __enter__(self) -> EnergyMeter:
        """Begin to count."""
        self._gpu_mj = gpu_energy_mj()
        self._last = {zone: energy for zone in self._packages if (energy := _energy_uj(zone)) is not None}
        self._thread = threading.Thread(target=self._poll, daemon=True)
        if self._last:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and say what was counted."""
        self._left.set()
        if self._last:
            self._thread.join()
            self.read()
            self.cpu_wh = round(self._spent_uj / 1e6 / JOULES_PER_WH, 4)
        pairs = list(zip(self._gpu_mj, gpu_energy_mj(), strict=False))
        spent = [after - before for before, after in pairs if before is not None and after is not None]
        if spent and len(spent) == len(pairs):
            self.gpu_wh = round(sum(spent) / 1e3 / JOULES_PER_WH, 4)

    def read(self) -> None:
        """Add what the packages have spent since the last look; a counter that fell has begun again from 0."""
        for zone, before in self._last.items():
            after = _energy_uj(zone)
            if after is not None:
                self._spent_uj += (after - before) % self._packages[zone]
                self._last[zone] = after

    def _poll(self) -> None:
        while not self._left.wait(POLL_S):
            self.read()


def gpu_energy_mj() -> list[int | None]:
    """Return millijoules of each GPU of this process since its driver was loaded."""
    import torch

    if not torch.cuda.is_available():
        return []
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return [None] * torch.cuda.device_count()
    nvml.nvmlInit_v2()
    names = [f"GPU-{torch.cuda.get_device_properties(at).uuid}" for at in range(torch.cuda.device_count())]
    return [_one_gpu_mj(nvml, name) for name in names]


def _one_gpu_mj(nvml: ctypes.CDLL, name: str) -> int | None:
    device, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
    if nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(device)) != 0:
        return None
    return energy.value if nvml.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy)) == 0 else None


def _energy_uj(zone: Path) -> int | None:
    try:
        return int((zone / "energy_uj").read_text())
    except (OSError, ValueError):
        return None


def _limit_uj(zone: Path) -> int:
    """Read where the counter begins again; 0 where it is no counter."""
    try:
        return int((zone / "max_energy_range_uj").read_text())
    except (OSError, ValueError):
        return 0
