"""A CUDA graph's stand-in on the CPU: every operation that a function launches, done again with the same memory.

What a graph would freeze is frozen here: numbers of Python, shapes, branches. What a graph cannot record fails here:
reading a value, which on a GPU waits for it.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS_A_VALUE = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)


class Launches(TorchDispatchMode):
    """Counts operations that compute something, and those that read a value."""

    def __init__(self):
        super().__init__()
        self.computed, self.read = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.read += func in READS_A_VALUE
        out = func(*args, **(kwargs or {}))
        self.computed += not func.is_view
        return out


class Tape(TorchDispatchMode):
    """Notes the operations of a function."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in READS_A_VALUE:
            raise RuntimeError(f"{func} is not allowed while a graph is recorded")
        out = func(*args, **(kwargs or {}))
        self.noted.append((func, args, kwargs or {}, out))
        return out

    @torch.no_grad()
    def play(self):
        for func, args, kwargs, out in self.noted:
            for old, new in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def record(step):
    """As `launching.record`, but recording does the step too: the first replay is that one."""
    tape = Tape()
    with tape:
        outcome = step()
    fresh = [True]

    def replay():
        if not fresh:
            tape.play()
        fresh.clear()
        return outcome

    return replay
