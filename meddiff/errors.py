"""The one error class for everything a user can cure, and Problems, which are many of them.

Several mistakes of one kind are one message: the first few of them, how many there are, and the cure once.
"""


class InputError(ValueError):
    """Bad input: the message says what was got, what is allowed and what to do.

    The command line prints the message alone, without a traceback, and exits with 2.
    """


SHOWN = 5


class Problems:
    """Collects what is wrong with ``where`` (a file or a folder), so that a user cures it in one go and not in ten."""

    def __init__(self, where: object):
        self.where = str(where)
        self.found: dict[tuple[str, str], list[str]] = {}

    def __len__(self) -> int:
        """Count the mistakes that were noted."""
        return sum(map(len, self.found.values()))

    def add(self, kind: str, detail: str, cure: str) -> None:
        """Note one mistake; those of the same kind and cure are counted together."""
        self.found.setdefault((kind, cure), []).append(detail)

    def raise_if_any(self) -> None:
        """Raise an InputError with every kind of mistake, five of each spelled out; do nothing where there is none."""
        if self.found:
            raise InputError("\n".join(self._paragraph(*key, details) for key, details in self.found.items()))

    def _paragraph(self, kind: str, cure: str, details: list[str]) -> str:
        if len(details) == 1:
            stop = "" if details[0].endswith((".", "?")) else "."
            return f"{self.where}: {kind}: {details[0]}{stop} {cure}"
        more = [f"... and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
        return "\n  ".join([f"{self.where}: {kind} ({len(details)} times):", *details[:SHOWN], *more, cure])
