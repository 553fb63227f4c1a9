"""Text that a terminal shows and does not obey: names of files and classes are other people's.

An escape sequence in a name can move the cursor, rename the window, type into the shell, or hide what was printed
before; marks of writing direction make evil.exe read as exe.live.
"""

from __future__ import annotations

_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), *range(0x200E, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_KEPT = ("\n", "\t")
WRITTEN_OUT = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" for code in _CONTROLS if chr(code) not in _KEPT
}


def printable(text: str) -> str:
    """Write out what would steer a terminal: ESC as \\x1b, and so for all control characters but line feed and tab."""
    return text.translate(WRITTEN_OUT)
