"""Pages for one person on one machine: HTTP on the loopback interface, with a secret in the address.

The standard library's server is enough: one person asks, one network call runs at a time, and answers that take long
come line by line. starlette and uvicorn would be five packages more and do nothing that is needed here.

Who may ask: a program on this machine (the socket listens on 127.0.0.1 alone) that knows the token, 192 random bits in
the path of the address, and calls the machine by one of its own names (a page of the web whose name was rebound to
127.0.0.1 calls it by that of the web). The page loads nothing from elsewhere and may not: its security policy says so.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import webbrowser
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from rich.console import Console

from meddiff.errors import InputError
from meddiff.files.writing import in_words

LOOPBACK = "127.0.0.1"
OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names by which a machine calls itself; a tunnel may have another port."""
LARGEST_BYTES = 1 << 30
"""Of a request: a study of a patient has half of it."""
SECONDS_OF_SILENCE = 60
"""After which a connection that says nothing is closed."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer."""


class StatusError(InputError):
    """A request that is not answered, with the status that HTTP has for it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """An answer: bytes, or lines that come one by one."""

    content: bytes | Iterator[bytes]
    kind: str = "text/plain; charset=utf-8"
    file_name: str = ""
    """Name under which a browser saves it; empty for what is shown."""


class Body:
    """The bytes that were sent with a request, of which no more is read than was announced."""

    def __init__(self, stream: BufferedIOBase, length: int) -> None:
        self.stream, self.length, self.left = stream, length, length

    def line(self, longest: int) -> bytes:
        """Read a line, or as much of it."""
        line = self.stream.readline(min(longest, self.left))
        self.left -= len(line)
        return line

    def part(self, size: int) -> bytes:
        """Read so many bytes, or less where there are no more."""
        part = self.stream.read(min(size, self.left))
        self.left -= len(part)
        return part

    def leave(self) -> None:
        """Read the rest and forget it: a browser that is still sending hears no answer."""
        while self.part(1 << 20):
            pass


class Site(Protocol):
    """All that is shown under an address. Paths are those behind the token."""

    def get(self, path: str) -> Reply | None:
        """Return what lies at a path; None where there is nothing."""

    def post(self, path: str, body: Body) -> Reply | None:
        """Return the answer to what was sent; None where nothing takes it."""


def of_json(values: Mapping[str, Any]) -> bytes:
    """Write values as a line of JSON."""
    return json.dumps(values).encode() + b"\n"


def in_lines(values: Iterable[Mapping[str, Any]]) -> Reply:
    """Return an answer line by line, as they come; a user's mistake ends it, with a line that says so."""

    def lines() -> Iterator[bytes]:
        try:
            for one in values:
                yield of_json(one)
        except (InputError, OSError, MemoryError, RuntimeError) as error:
            yield of_json({"error": sentence_of(error)})

    return Reply(lines(), "application/x-ndjson")


def sentence_of(error: Exception) -> str:
    """Say what was wrong.

    Raises:
        Exception: the same, where no user can cure it.
    """
    sentence = str(error) if isinstance(error, InputError) else in_words(error)
    if sentence is None:
        raise error
    return sentence


class LocalServer(ThreadingHTTPServer):
    """A site on this machine; `address` is all that a browser needs to know.

    Raises:
        InputError: the port is taken, or may not be used.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site, self.token = site, secrets.token_urlsafe(24)
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise InputError(
                f"--port {port}: {error.strerror}. Name another one, or leave it out: a free one is taken"
            ) from error

    @property
    def address(self) -> str:
        """The page's address, token and all."""
        return f"http://{LOOPBACK}:{self.server_address[1]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong, but for browsers that have gone away."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: LocalServer
    protocol_version = "HTTP/1.1"  # in which a browser sees where an answer breaks off
    timeout = SECONDS_OF_SILENCE
    server_version, sys_version = "meddiff", ""

    def do_GET(self) -> None:
        self._answer(lambda path: self.server.site.get(path))

    def do_POST(self) -> None:
        def ask(path: str) -> Reply | None:
            body = Body(self.rfile, self._length())
            try:
                return self.server.site.post(path, body)
            finally:
                body.leave()

        self._answer(ask)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the lines would hold the token."""

    def _answer(self, ask: Callable[[str], Reply | None]) -> None:
        try:
            reply = ask(self._path())
            if reply is None:
                raise StatusError(404, "there is nothing of this name")
        except StatusError as error:
            self._send(error.status, Reply(f"{error}\n".encode()))
        except (InputError, OSError, MemoryError, RuntimeError) as error:
            if isinstance(error, ConnectionError | TimeoutError):
                raise
            self._send(400, Reply(f"{sentence_of(error)}\n".encode()))
        else:
            self._send(200, reply)

    def _path(self) -> str:
        """Return what is asked for, behind the token.

        Raises:
            StatusError: by somebody who may not.
        """
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if name.lower() not in OWN_NAMES:
            raise StatusError(403, f"this page is for this machine alone, which is not called {name[:100]!r}")
        token, slash, path = unquote(urlsplit(self.path).path).removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), self.server.token.encode()) or not slash:
            raise StatusError(
                403, "the address has no token, or a former one: take the one that the command has printed"
            )
        return path

    def _length(self) -> int:
        """Return how many bytes are sent.

        Raises:
            StatusError: it is not said, or too many.
        """
        said = self.headers.get("Content-Length", "")
        if not said.isdecimal() or "Transfer-Encoding" in self.headers:
            raise StatusError(411, "a request says how many bytes it has")
        if len(said) > 15 or int(said) > LARGEST_BYTES:
            raise StatusError(
                413, f"more than {LARGEST_BYTES >> 20} MB at a time are not taken: send fewer files, or use the command"
            )
        return int(said)

    def _send(self, status: int, reply: Reply) -> None:
        self.send_response(status)
        for name, value in (HEADERS | {"Content-Type": reply.kind}).items():
            self.send_header(name, value)
        if reply.file_name:
            self.send_header("Content-Disposition", f'attachment; filename="{reply.file_name}"')
        self.send_header("Connection", "close")
        if isinstance(reply.content, bytes):
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in reply.content:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(line), line))
        self.wfile.write(b"0\r\n\r\n")


def receive(body: Body, folder: Path, longest_head: int = 1 << 20) -> dict[str, Any]:
    """Write the files of a request into an empty folder; returns what was sent beside them.

    The body is a line of JSON, ``{"files": [{"name": ..., "size": ...}, ...], ...}``, then the bytes of the files one
    after the other. Files of one folder stay together in one of a number; no name leads anywhere else.

    Raises:
        InputError: another form, a name that is none, sizes that are not those of the body, a disk that is full.
    """
    head = body.line(longest_head)
    try:
        values = json.loads(head)
        sizes = [(str(file["name"]), int(file["size"])) for file in values["files"]]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError("a request begins with a line that names its files and their sizes") from error
    if any(size < 0 for _, size in sizes) or len(head) + sum(size for _, size in sizes) != body.length:
        raise InputError("the files of a request are not as large as it says")
    folders: dict[str, Path] = {}
    for name, size in sizes:
        above, own = _parts(name)
        place = folders.setdefault(above, folder / str(len(folders)))
        place.mkdir(exist_ok=True)
        if (place / own).exists():
            raise InputError(f"{own} was sent twice")
        _copy(body, place / own, size)
    return values


def _parts(name: str) -> tuple[str, str]:
    """Return folder and name of a file that is sent.

    Raises:
        InputError: it would lie elsewhere, or no disk takes it.
    """
    *above, own = name.replace("\\", "/").split("/")
    if not own or {"..", "."} & {own, *above} or not name.isprintable() or len(own.encode()) > 200 or above[:1] == [""]:
        raise InputError(f"{name[:80]!r} is no name of a file that can be sent")
    return "/".join(above), own


def _copy(body: Body, path: Path, size: int) -> None:
    if size > shutil.disk_usage(path.parent).free:
        raise InputError("the disk of the temporary folder is full")
    with path.open("xb") as file:
        while size:
            part = body.part(min(size, 1 << 20))
            if not part:
                raise InputError("the request ended before its files did")
            file.write(part)
            size -= len(part)


def serve(server: LocalServer, console: Console, *, browse: bool) -> None:
    """Print the address, and answer until somebody stops it."""
    console.print(f"{server.address}", soft_wrap=True)
    console.print("open this address in a browser on this machine; Ctrl-C ends it")
    if browse:
        webbrowser.open(server.address)
    with server, suppress(KeyboardInterrupt):
        server.serve_forever()
