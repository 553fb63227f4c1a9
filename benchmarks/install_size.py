"""The packages that `pip install meddiff` brings, and how large each is: what a plain install costs.

    python benchmarks/install_size.py

Sizes are those of the installed files, as each package's own list of files (RECORD) names them.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
DRIVERS = re.compile(r"nvidia-|cuda-|triton$|pytorch-triton")
"""What torch brings along on Linux to talk to GPUs: other machines have other ones, or none."""


def declared(extra: str = "") -> list[Requirement]:
    """List what the project asks for, plainly or with an extra."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    return [Requirement(one) for one in (project["optional-dependencies"][extra] if extra else project["dependencies"])]


def installed() -> dict[str, Distribution]:
    """Return every package that a plain install brings, by name: what is declared, what that needs, and so on."""
    wanted, packages = [(one, frozenset(one.extras)) for one in declared()], dict[str, Distribution]()
    asked = set[tuple[str, frozenset[str]]]()
    while wanted:
        requirement, extras = wanted.pop()
        name = canonicalize_name(requirement.name)
        if (name, extras) in asked:
            continue
        asked.add((name, extras))
        try:
            packages[name] = distribution(name)
        except PackageNotFoundError:
            continue
        for needed in map(Requirement, packages[name].requires or ()):
            places = [{"extra": extra} for extra in ("", *extras)]
            if needed.marker is None or any(needed.marker.evaluate(place) for place in places):
                wanted.append((needed, frozenset(needed.extras)))
    return packages


def size(package: Distribution) -> int:
    """Sum the bytes of a package's files."""
    places = [Path(str(package.locate_file(file))) for file in package.files or ()]
    return sum(place.stat().st_size for place in places if place.is_file())


def main() -> None:
    """Print one line for each package, the largest first, and the sums."""
    packages = installed()
    sizes = {name: size(package) for name, package in packages.items()}
    for name in sorted(sizes, key=sizes.__getitem__, reverse=True):
        print(f"{sizes[name] / 2**20:9.1f} MiB  {name} {packages[name].version}")
    drivers = [name for name in packages if DRIVERS.match(name)]
    of_drivers = sum(sizes[name] for name in drivers)
    print(
        f"\n{len(packages)} packages, {sum(sizes.values()) / 2**20:,.0f} MiB; {len(declared())} of them are asked for"
    )
    print(
        f"of these {len(drivers)} packages, {of_drivers / 2**20:,.0f} MiB, are GPU libraries that torch brings on Linux"
    )


if __name__ == "__main__":
    main()
