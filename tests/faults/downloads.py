"""Downloads from a server that does everything wrong: refused by name, and complete once it is well again."""

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from faults.station import Ended, Station, require_refusal, require_success, run
from faults.study import NAMES, Study
from faults.table import Table, require

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]
PATIENCE = 0.4
"""Seconds without a byte, and of a mean, after which an attempt is given up here; 60 otherwise."""


def well(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
    head(handler, 206 if start else 200, len(body) - start, f"bytes {start}-{len(body) - 1}/{len(body)}")
    handler.wfile.write(body[start:])


def head(handler: BaseHTTPRequestHandler, status: int, length: object, content_range: str = "") -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(length))
    if content_range:
        handler.send_header("Content-Range", content_range)
    handler.end_headers()


def cut(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    head(handler, 200, len(body))
    handler.wfile.write(body[: len(body) // 3])


def shorter(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    head(handler, 200, len(body) // 2)
    handler.wfile.write(body)


def no_length(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    head(handler, 200, "many")
    handler.wfile.write(body[: len(body) // 2])


def another(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    other = body[:-3] + b"9\n"
    head(handler, 200, len(other))
    handler.wfile.write(other)


def error_500(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    del body
    head(handler, 500, 0)


def drip(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    head(handler, 200, len(body))
    for byte in body:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(PATIENCE / 8)


def silence(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    head(handler, 200, len(body))
    handler.wfile.write(body[:9])
    handler.wfile.flush()
    time.sleep(4 * PATIENCE)


def loop(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    del body
    handler.send_response(302)
    handler.send_header("Location", handler.path + "x")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


WRONG: dict[str, Answer] = {
    "the connection cut": cut,
    "a length that is too small": shorter,
    "a length that is no number": no_length,
    "another sha256": another,
    "HTTP 500": error_500,
    "a slow drip": drip,
    "silence after the first bytes": silence,
    "a loop of redirects": loop,
}
PASSING = ("the connection cut", "HTTP 500", "a slow drip", "silence after the first bytes")
"""What may pass while one command tries again."""


@dataclass
class Server:
    """Serves one table; `wrong` for so many requests, then well."""

    body: bytes
    wrong: Answer = well
    times: int = 0
    asked: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        with self.lock:
            self.asked += 1
            chosen = self.wrong if self.asked <= self.times else well
        with suppress(BrokenPipeError, ConnectionResetError):
            chosen(handler, self.body)


@contextmanager
def serving(body: bytes) -> Iterator[Server]:
    """A real server on this machine."""
    server = Server(body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}/table.csv"
        threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        http.shutdown()


def hurried() -> None:
    """Less patience in this process: the seconds of `downloads`, and no pauses."""
    from multimep import downloads  # noqa: PLC0415

    downloads.TIMEOUT = (PATIENCE, PATIENCE)
    downloads.fetch.__kwdefaults__["pause"] = 0.0


@dataclass(frozen=True)
class Downloads:
    """A dataset of the study that comes from a server."""

    study: Study
    expected: dict[str, bytes]
    table: Table

    def all(self, tries: int) -> None:
        """Each fault for good, then healed; and each that may pass, twice."""
        body = (self.study.folder / f"{NAMES[0]}.csv").read_bytes()
        for name, wrong in WRONG.items():
            for _ in range(tries):
                with serving(body) as server:
                    self._for_good(name, wrong, server)
        for name in PASSING:
            for _ in range(tries):
                with serving(body) as server:
                    self._passing(name, WRONG[name], server)

    def _station(self, server: Server) -> Station:
        spec = self.study.config["datasets"][NAMES[0]]
        digest = hashlib.sha256(server.body).hexdigest()
        spec["source"]["files"]["variants"] = {"url": server.url, "sha256": digest}
        output = f"results/datasets/{NAMES[0]}.csv"
        words = ("dataset", NAMES[0], "--spec", json.dumps(spec), "--output", output)
        return Station("dataset", words, (output,))

    def _run(self, station: Station) -> Ended:
        return run(station, self.study.folder, self.study.folder / "log", environment=self.study.environment,
                   before=hurried)  # fmt: skip

    def _forget(self) -> None:
        shutil.rmtree(self.study.results / "cache", ignore_errors=True)
        (self.study.results / "datasets" / f"{NAMES[0]}.csv").unlink(missing_ok=True)

    def _for_good(self, name: str, wrong: Answer, server: Server) -> None:
        with self.table.attempt(f"a download: {name}", server.url) as row:
            self._forget()
            server.wrong, server.times = wrong, 1 << 30
            station = self._station(server)
            require_refusal(self._run(station), station, (server.url,), ("again", "name a mirror", "state", "correct"))
            row.refused += 1
            path = self.study.results / "datasets" / f"{NAMES[0]}.csv"
            require(not path.exists(), "a table was written from half a download")
            whole = [one for one in (self.study.results / "cache").rglob("table.csv") if one.is_file()]
            require(not whole, f"kept as whole: {whole}")
            server.times = 0
            self._complete(station)

    def _passing(self, name: str, wrong: Answer, server: Server) -> None:
        with self.table.attempt(f"a download: {name}, twice, then well", server.url):
            self._forget()
            server.wrong, server.times = wrong, 2
            self._complete(self._station(server))

    def _complete(self, station: Station) -> None:
        require_success(self._run(station), station)
        path = self.study.results / "datasets" / f"{NAMES[0]}.csv"
        require(path.read_bytes() == self.expected[f"datasets/{NAMES[0]}.csv"], "another table")
