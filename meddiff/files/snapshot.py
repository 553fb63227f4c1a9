"""The content of a folder before a command begins, to be put back where the command is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meddiff.files.writing import write_atomically


@dataclass(frozen=True)
class Snapshot:
    """The content of a folder at one moment."""

    folder: Path
    grown: Path
    """Folder below it to which files are added and in which none is changed, before any work begins."""
    papers: dict[Path, bytes | None]
    """Content of the files that are written before any work begins; None where there was none."""
    others: dict[Path, tuple[int, int]]
    """Time and size of every other file."""

    @classmethod
    def of(cls, folder: Path, *, papers: Sequence[Path], grown: Path) -> Snapshot:
        """Take down what stands in the folder now; see the attributes."""
        contents = {paper: paper.read_bytes() if paper.is_file() else None for paper in papers}
        return cls(folder, grown, contents, _times(folder, papers))

    def put_back(self) -> bool:
        """Restore the papers and remove what was added to ``grown``; false, with nothing done, where work was done."""
        now = _times(self.folder, list(self.papers))
        added = [file for file in now if file not in self.others and self.grown in file.parents]
        if {file: time for file, time in now.items() if file not in added} != self.others:
            return False
        for file in added:
            file.unlink()
        for folder in sorted({file.parent for file in added}, reverse=True):
            while folder != self.folder and folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
                folder = folder.parent
        for paper, content in self.papers.items():
            if content is None:
                paper.unlink(missing_ok=True)
            elif not paper.is_file() or paper.read_bytes() != content:
                write_atomically(paper, lambda file, content=content: file.write(content))
        return True


def _times(folder: Path, but: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    files = [file for file in folder.rglob("*") if file not in but and file.is_file()]
    return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in files}
