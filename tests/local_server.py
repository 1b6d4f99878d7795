"""A real server on this machine whose answers a test decides."""

import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
Answer = Callable[[BaseHTTPRequestHandler, int], None]


class Server:
    """A local server whose answer to the n-th request (from 1) a test decides; keeps the requests' paths and ranges."""

    def __init__(self) -> None:
        self.answer: Answer = whole
        self.asked: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with server.lock:
                    server.asked.append((self.path, self.headers.get("Range")))
                    number = len(server.asked)
                server.answer(self, number)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, sent: int | None = None, **headers: str) -> None:
    """Answer with `body`, of which only the first `sent` bytes arrive."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body[:sent])


def whole(handler: BaseHTTPRequestHandler, _: int) -> None:
    send(handler, 200, CONTENT)
