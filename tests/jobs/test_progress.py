"""What a log of a batch job holds: plain lines, one now and then, without carriage returns or control codes."""

import io
import re
import threading

import pytest
from rich.console import Console

from meddiff.jobs import progress
from meddiff.jobs.progress import PlainConsole, bar, new_console


class Log(io.StringIO):
    """A file that says when a line is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        self.written.set()
        return count


def run(console: Console, log: Log, *, waits: int, stays: bool = True) -> list[int]:
    """Go through five things, of which the first take until a line has been written."""

    def things():
        for number in range(5):
            if number < waits:
                log.written.clear()
                assert log.written.wait(20), "no line was written while a thing took its time"
            yield number

    return list(bar(console, "counting", unit="things", stays=stays)(things(), 5))


def test_a_file_gets_a_line_now_and_then_also_while_one_thing_takes_long(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.01)
    log = Log()
    assert run(new_console(file=log), log, waits=3) == [0, 1, 2, 3, 4]
    lines = log.getvalue().splitlines()
    assert re.fullmatch(r"  counting: 0 of 5 things", lines[0])
    assert any(re.match(r"  counting: [12] of 5 things", line) for line in lines)
    assert re.match(r"  counting: 5 things.*, took ", lines[-1])
    assert sum("took" in line for line in lines) == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", log.getvalue())


def test_a_file_gets_one_line_of_what_is_quick_and_none_of_what_leaves_nothing():
    for stays, count in ((True, 1), (False, 0)):
        log = Log()
        run(new_console(file=log), log, waits=0, stays=stays)
        assert len(log.getvalue().splitlines()) == count


def test_lines_go_no_longer_on_when_the_work_breaks_off(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.01)
    log = Log()
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(bar(new_console(file=log), "counting", unit="things")((1 // number for number in (2, 1, 0)), 3))
    assert threading.active_count() == before


def test_a_terminal_gets_a_bar_and_a_silent_console_nothing(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    log = Log()
    console = PlainConsole(file=log, force_terminal=True, force_interactive=True, width=100, legacy_windows=False)
    run(console, log, waits=0)
    assert "━" in log.getvalue()
    assert "took" not in log.getvalue()
    log = Log()
    run(new_console(file=log, quiet=True), log, waits=0)
    assert log.getvalue() == ""
