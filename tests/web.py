"""A web server in a thread that can be told to misbehave."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server offers, how it fails, and what it was asked."""

    files: dict[str, bytes]
    tags: dict[str, str] = field(default_factory=dict)  # ETags; "" for none
    break_after: list[int] = field(default_factory=list)  # the next answers end after so many bytes
    fail_with: list[int] = field(default_factory=list)  # the next answers are these status codes
    ranges: bool = True
    tell_length: bool = True
    hold: threading.Event | None = None  # what a broken answer waits for before the connection is closed
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    url: str = ""


@contextmanager
def serve(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            site.asked.append((self.path, wanted))
            if site.fail_with or self.path not in site.files:
                self.send_error(site.fail_with.pop(0) if site.fail_with else 404)
                return
            content, tag = site.files[self.path], site.tags.get(self.path, '"first"')
            start = 0
            if wanted and site.ranges and self.headers.get("If-Range", tag) == tag:
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if tag:
                self.send_header("ETag", tag)
            if site.tell_length:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = start + site.break_after.pop(0) if site.break_after else len(content)
            self.wfile.write(content[start:end])
            if end < len(content) and site.hold:
                site.hold.wait(30)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
