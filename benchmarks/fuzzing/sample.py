"""What a reader is handed: one file, or a folder of files and links."""

from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """Files in memory."""

    format: str
    """The row of the table, and so the doors that it is handed to."""
    files: dict[str, bytes]
    """Contents by their names below the folder."""
    opened: str
    """The name that is handed to the reader; empty for the folder."""
    links: dict[str, str] = field(default_factory=dict)
    """Symbolic links and where they point to; a target of '|' makes a pipe that nobody writes to."""
    story: str = "as it was made"
    """What was done to it."""
    changed: tuple[str, ...] = ()
    """The files that are changed, where not every one is."""

    def with_file(self, name: str, content: bytes, story: str) -> "Sample":
        """The same with one file changed."""
        return replace(self, files=self.files | {name: content}, story=story)

    def write(self, folder: Path) -> Path:
        """Put the files into a folder; the path that is opened. Names that leave the folder are not written."""
        import os

        for name, content in self.files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        for name, target in self.links.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if target == "|":
                os.mkfifo(folder / name)
            else:
                (folder / name).symlink_to(target)
        return folder / self.opened
