"""A headless Chromium for tests, driven over its DevTools protocol through a pipe: no driver, no port, no package.

The protocol (https://chromedevtools.github.io/devtools-protocol/): JSON messages that end with a zero byte, to the
browser's file descriptor 3 and from its 4.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
REQUIRED = "MULTIMEP_BROWSER"  # "required" in continuous integration: there a missing browser is a failure
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")
SECONDS = 60.0


def executable() -> str:
    """Chromium's path; skips the test where there is none, fails it where one is required."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None and os.environ.get(REQUIRED) == "required":
        pytest.fail(f"no Chromium on the path ({', '.join(NAMES)}), and {REQUIRED}=required")
    if found is None:
        pytest.skip("no Chromium on this machine, the page was not opened in a browser: apt-get install chromium")
    return found


class Browser:
    """One Chromium with one page; it keeps its `complaints`, and in `requests` what it asks for beyond itself."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        inward, self.out = os.pipe()
        self.into, outward = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", *QUIET, f"--user-data-dir={folder / 'profile'}"]
        command = [executable(), *options, "--remote-debugging-pipe", "about:blank"]
        shell = ["bash", "-c", f'exec "$@" 3<&{inward} 4>&{outward}', "bash", *command]
        self.process = subprocess.Popen(shell, pass_fds=(inward, outward), stderr=subprocess.DEVNULL)
        os.close(inward)
        os.close(outward)
        self.numbers = itertools.count(1)
        self.rest = b""
        self.session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def ask(self, method: str, **values: object) -> dict[str, Any]:
        """The answer to one command; events that come before it are kept."""
        number = next(self.numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": values}
        if self.session and not method.startswith("Browser."):
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == number:
                assert "error" not in found, (method, found["error"])
                return dict(found["result"])
            self._keep(found)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.into], [], [], SECONDS)
            assert ready, f"Chromium said nothing for {SECONDS:g} s"
            part = os.read(self.into, 1 << 20)
            assert part, "Chromium has gone"
            self.rest += part
        first, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(first))

    def _keep(self, event: dict[str, Any]) -> None:
        said = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"]))
        elif event["method"] == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(said["args"]))
        elif event["method"] == "Log.entryAdded":
            self.complaints.append(said["entry"]["text"])
        elif event["method"] == "Network.requestWillBeSent" and not said["request"]["url"].startswith("data:"):
            self.requests.append(said["request"]["url"])

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Show a file, in a window of `width` pixels, and wait until it is loaded."""
        self.complaints.clear()
        self.requests.clear()
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.ask("Emulation.setEmulatedMedia", features=scheme)
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Page.navigate", url=path.as_uri())
        self.wait(lambda: self.evaluate("location.protocol + document.readyState") == "file:complete")

    def evaluate(self, code: str) -> Any:
        """The value of an expression in the page."""
        found = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, until: Callable[[], bool]) -> None:
        """Ask again until something is true; fails after a minute."""
        end = time.monotonic() + SECONDS
        while not until():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    def middle(self, selector: str) -> tuple[float, float]:
        """Where the middle of the first element that fits stands in the window, after scrolling to it."""
        code = """(found => {
            found.scrollIntoView({block: "center", behavior: "instant"});
            const box = found.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
        })"""
        code += f"(document.querySelector({json.dumps(selector)}))"
        right, down = self.evaluate(code)
        return float(right), float(down)

    def move(self, right: float, down: float) -> None:
        """Move the pointer to a place in the window."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=right, y=down)

    def click(self, selector: str) -> None:
        """Press and release the mouse in the middle of the first element that fits."""
        right, down = self.middle(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=right, y=down, button="left", clickCount=1)

    def press(self, key: str, text: str = "") -> None:
        """Press and release a key where the focus is."""
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            code = {"Enter": 13, "Tab": 9}.get(key, 0)
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def write(self, text: str) -> None:
        """Type into what has the focus."""
        self.ask("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        """The whole page as a PNG file."""
        data = self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self, path: Path) -> None:
        """The page as it would be printed."""
        path.write_bytes(base64.b64decode(self.ask("Page.printToPDF", printBackground=True)["data"]))

    def close(self) -> None:
        """End the browser."""
        self.session = None
        self.ask("Browser.close")
        self.process.wait(timeout=SECONDS)
        os.close(self.out)
        os.close(self.into)
