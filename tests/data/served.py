"""An https server on this machine that can misbehave in the ways that servers do."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme


@dataclass
class Served:
    """What the server does when it is asked for a path."""

    content: bytes = b""
    ranges: bool = True
    """Whether it understands requests for a part."""
    status: int = 200
    location: str = ""
    """Where it redirects to."""
    says_length: bool = True
    cuts: list[int] = field(default_factory=list)
    """After how many bytes it breaks off its first answers."""
    seconds_a_piece: float = 0.0
    piece: int = 1 << 20
    wrong_range: bool = False


@dataclass
class Server:
    address: str
    certificate: Path
    served: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and `Range` of each request."""

    def serve(self, path: str, what: Served | bytes) -> str:
        """Serve `what` at `path` and return its address."""
        self.served[path] = Served(what) if isinstance(what, bytes) else what
        return f"{self.address}/{path}"


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server whose certificate is signed by the authority in `certificate`."""
    authority = trustme.CA()
    certificate = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    server = Server(f"https://localhost:{http.server_address[1]}", certificate)
    http.server = server  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # a client that went away or does not trust us
            super().handle()

    def do_GET(self) -> None:
        server: Server = self.server.server  # type: ignore[attr-defined]
        path, asked = self.path.lstrip("/"), self.headers.get("Range")
        server.requests.append((path, asked))
        served = server.served.get(path, Served(b"not here", status=404))
        content, start = served.content, 0
        if served.location:
            self.send_response(302)
            self.send_header("Location", served.location)
        elif asked and served.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
            told = start + served.wrong_range
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {told}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(served.status)
        rest = content[start:]
        if served.says_length:
            self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if served.cuts:
            rest = rest[: served.cuts.pop(0)]
        for begin in range(0, len(rest), served.piece):
            self.wfile.write(rest[begin : begin + served.piece])
            time.sleep(served.seconds_a_piece)
