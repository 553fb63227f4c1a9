"""Child seeds: every use of randomness draws from its own stream, named by what it is for."""

import hashlib


def child_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and on the name of its use, and on nothing else.

    ``child_seed(7, "training", "batch", 120)`` is the same number in every process and on every machine, so a
    run that is resumed at step 120 draws what an uninterrupted run would have drawn.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
