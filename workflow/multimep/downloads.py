"""Fetch a public file once: mirrored, resumed, retried, verified by sha256, cached by checksum."""

import ipaddress
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin

import requests
import urllib3

from multimep import addresses
from multimep.addresses import public, split
from multimep.seals import checksum
from multimep.whole_files import refused

ATTEMPTS = 5
"""How often one file is tried: with the pauses below a server may be away for about 15 s."""
PAUSE = 1.0
"""Seconds before the second attempt; doubled before each further one."""
TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two arriving blocks."""
SLOWEST = 1000.0
"""Bytes per second: an attempt that brings less, as a mean over the second of these times, is given up."""
REDIRECTS = 10
ABANDONED = 3600.0
"""Seconds without a new byte after which a part is taken over: a live process would have given up long before."""
BLOCK = 1 << 16
"""Bytes: at most so much of what arrived is lost when a connection is cut."""
LARGEST = 1 << 37
"""Bytes of one file: twice the largest checkpoint in single precision. A server must not fill the disk."""
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_HEX = frozenset("0123456789abcdef")


class DownloadError(ValueError):
    """A file that could not be had as asked; the message names its URL, what was got and the remedy."""


class _InterruptedError(Exception):
    """An attempt that may succeed when repeated."""


def fetch(
    url: str, sha256: str, cache: Path, mirror: str | None = None, *, attempts: int = ATTEMPTS, pause: float = PAUSE
) -> Path:
    """The verified local copy of `url`, downloaded unless `cache` has it.

    Args:
        url: http, https or file URL.
        sha256: 64 hexadecimal digits; a file with another checksum is never returned nor kept.
        cache: folder of the copies, `cache/<sha256>/<name>`; may be shared by processes.
        mirror: takes the place of scheme and host, `file:///folder` or `http://host:port/prefix`; the host and the path
            of `url` are appended to it. None: the public URL itself.
        attempts: tries of one file; each continues where the one before was cut, when the server can.
        pause: seconds before the second attempt, doubled before each further one.

    Raises:
        DownloadError: refused URL, no such file, server that stays away, another checksum.
        AddressError: no URL, or one that holds a secret.
        WritingError: no room or no right to write in `cache`; what arrived is kept.
    """
    digest = sha256.strip().lower()
    if len(digest) != 64 or not _HEX.issuperset(digest):
        raise DownloadError(f"{url}: sha256 {sha256!r} is not 64 hexadecimal digits; state the checksum of the file")
    address = mirrored(url, mirror)
    target = cache / digest / _name(url)
    if target.is_file() and checksum(target) == digest:
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _partial(cache / f".{digest}.partial") as partial:
            stale = partial.stat().st_size > 0
            _get(url, address, partial, attempts, pause, trusted=mirror is not None)
            if stale and checksum(partial) != digest:  # the file had changed since its first part was fetched
                partial.write_bytes(b"")
                _get(url, address, partial, attempts, pause, trusted=mirror is not None)
            _verify(url, address, partial, digest)
            target.parent.mkdir(exist_ok=True)
            partial.replace(target)
    except OSError as error:
        raise refused(target, error) from error
    return target


def mirrored(url: str, mirror: str | None) -> str:
    """Where `url` is really read: itself, or `mirror` + "/" + its host and path."""
    parts = split(url)
    for one in (url, mirror or ""):
        addresses.check(one)
    if ".." in PurePosixPath(unquote(parts.path)).parts:
        raise DownloadError(f"{url}: '..' in the path; state the plain URL")
    _require_allowed(url, url, trusted=mirror is not None)
    if mirror is None:
        return url
    if split(mirror).scheme not in ("file", "http", "https"):
        raise DownloadError(f"{url}: mirror {mirror!r} is neither file:// nor http(s)://; write mirror: file:///folder")
    return f"{mirror.rstrip('/')}/{parts.netloc}{parts.path}" if parts.netloc else url


def _name(url: str) -> str:
    name = PurePosixPath(unquote(split(url).path)).name
    if not name or "\0" in name:
        raise DownloadError(f"{url}: no file name at its end; state the URL of a file")
    return name


def _require_allowed(url: str, address: str, *, trusted: bool) -> None:
    """Plain http can be changed on its way: only from this machine or from a mirror that the user named."""
    parts = split(address)
    if parts.scheme == "https" or (parts.scheme == "file" and address == url):
        return
    if parts.scheme != "http":
        raise DownloadError(f"{url}: {public(address)} is not an http(s) address; state an https URL or name a mirror")
    if not (trusted or _is_loopback(parts.hostname or "")):
        raise DownloadError(f"{url}: {public(address)} is plain http; state the https URL or name a mirror explicitly")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _partial(left: Path) -> Iterator[Path]:
    """A file of this process alone: begins with what an earlier attempt left, is left for the next one on failure."""
    own = left.with_name(f"{left.name}.{os.getpid()}-{uuid.uuid4().hex}")
    for part in (left, *_abandoned(left)):
        with suppress(FileNotFoundError):
            part.rename(own)  # atomic: of two processes one adopts it and the other looks further or starts afresh
            break
    own.touch()  # makes it, or says that an adopted one is alive again
    try:
        yield own
    finally:
        if own.exists() and own.stat().st_size:
            own.replace(left)
        else:
            own.unlink(missing_ok=True)


def _abandoned(left: Path) -> list[Path]:
    """Parts of processes that were killed, the newest first."""
    aged = []
    for part in left.parent.glob(f"{left.name}.*"):
        with suppress(FileNotFoundError):
            aged.append((time.time() - part.stat().st_mtime, part))
    return [part for age, part in sorted(aged) if age > ABANDONED]


def _verify(url: str, address: str, partial: Path, digest: str) -> None:
    found = checksum(partial)
    if found != digest:
        partial.unlink()
        raise DownloadError(
            f"{url}: {address} has sha256 {found}, expected {digest}; nothing was kept: "
            f"correct the checksum if the file was changed on purpose, or fetch it again"
        )


def _get(url: str, address: str, partial: Path, attempts: int, pause: float, *, trusted: bool) -> None:
    if split(address).scheme == "file":
        _copy(url, address, partial)
        return
    for attempt in range(1, attempts + 1):
        try:
            _download(url, address, partial, trusted=trusted)
        except _InterruptedError as cause:
            if attempt == attempts:
                raise DownloadError(
                    f"{url}: {cause} from {public(address)} after {attempts} attempts; "
                    f"try again later (what arrived is kept) or name a mirror"
                ) from cause
            time.sleep(pause * 2 ** (attempt - 1))
        else:
            return


def _copy(url: str, address: str, partial: Path) -> None:
    parts = split(address)
    source = Path(unquote(parts.path))
    if parts.netloc not in ("", "localhost"):
        raise DownloadError(f"{url}: {address} names the host {parts.netloc!r}; write file:///absolute/folder")
    if not source.is_file():
        raise DownloadError(f"{url}: there is no file {source}; copy it there or take the mirror out of the config")
    try:
        shutil.copyfile(source, partial)
    except OSError as error:
        if error.filename != str(source):
            raise
        raise DownloadError(f"{url}: {source} cannot be read ({error.strerror}); make it readable") from error


def _download(url: str, address: str, partial: Path, *, trusted: bool) -> None:
    """One attempt: asks for the missing rest only, starts again where the server cannot continue."""
    have = partial.stat().st_size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with _follow(url, address, headers, trusted=trusted) as response:
            _require_file(url, response, partial)
            _append(response, partial, "ab" if _continues(response, partial) else "wb")
    except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError) as error:
        raise _InterruptedError(f"connection cut ({type(error).__name__})") from error
    except requests.RequestException as error:
        raise DownloadError(
            f"{url}: {public(address)} cannot be asked ({type(error).__name__}); correct the URL or name a mirror"
        ) from error


def _follow(url: str, address: str, headers: dict[str, str], *, trusted: bool) -> requests.Response:
    """The response behind at most `REDIRECTS` redirects, none of which leaves https, or a host of plain http."""
    first = split(address)
    _require_allowed(url, address, trusted=trusted)
    for _ in range(REDIRECTS + 1):
        if split(address).scheme != "https" and split(address)[:2] != first[:2]:
            raise DownloadError(
                f"{url}: is redirected to {public(address)}, which is no https; state the final URL, or name a mirror"
            )
        response = requests.get(address, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=False)
        location = response.headers.get("Location")
        if response.status_code not in _MOVED or location is None:
            return response
        response.close()
        address = urljoin(address, location)
    raise DownloadError(f"{url}: more than {REDIRECTS} redirects, the last to {public(address)}; state the final URL")


def _require_file(url: str, response: requests.Response, partial: Path) -> None:
    status = response.status_code
    if status == 416:  # what is kept does not fit the file of the server
        partial.write_bytes(b"")
        raise _InterruptedError("HTTP 416")
    if status in _TRY_AGAIN:
        raise _InterruptedError(f"HTTP {status}")
    if status not in (200, 206):
        partial.write_bytes(b"")
        raise DownloadError(
            f"{url}: got HTTP {status} from {public(response.url)}; correct the URL or name a mirror that has it"
        )


def _continues(response: requests.Response, partial: Path) -> bool:
    """Content-Range: bytes FIRST-LAST/TOTAL, with FIRST as asked."""
    if response.status_code != 206:
        return False
    found = response.headers.get("Content-Range", "")
    if not found.startswith(f"bytes {partial.stat().st_size}-"):
        partial.write_bytes(b"")
        raise _InterruptedError(f"range {found!r} instead of the missing rest")
    return True


def _append(response: requests.Response, partial: Path, mode: str) -> None:
    told = response.headers.get("Content-Length", "")
    expected = int(told) if told.isdecimal() and "Content-Encoding" not in response.headers else None
    arrived = 0
    with partial.open(mode) as stream:
        for block in _blocks(response):
            stream.write(block)
            arrived += len(block)
            if stream.tell() > LARGEST:
                raise DownloadError(f"{public(response.url)}: sends more than {LARGEST} bytes; correct the URL")
    if expected is not None and arrived != expected:
        raise _InterruptedError(f"{arrived} of {expected} bytes")


def _blocks(response: requests.Response) -> Iterator[bytes]:
    """What arrives, as it arrives; raises _InterruptedError where it only trickles, which no timeout sees."""
    begun, since = time.monotonic(), 0
    while block := response.raw.read1(BLOCK, decode_content=True):
        yield block
        since += len(block)
        if (waited := time.monotonic() - begun) >= TIMEOUT[1]:
            if since < SLOWEST * waited:
                raise _InterruptedError(f"{since} bytes in {waited:.0f} s")
            begun, since = time.monotonic(), 0
