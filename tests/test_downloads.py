"""Downloads against a real server: every fault that a network has, and nothing half-written after any of them."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from local_server import CONTENT, DIGEST, Answer, Server, send, whole
from multimep import downloads
from multimep.downloads import DownloadError, fetch, mirrored
from multimep.seals import checksum
from multimep.whole_files import WritingError

PUBLIC = "https://files.example.org/set/one.csv"


def ranged(handler: BaseHTTPRequestHandler, sent: int | None = None) -> None:
    start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
    last = len(CONTENT) - 1
    if start:
        send(handler, 206, CONTENT[start:], sent, Content_Range=f"bytes {start}-{last}/{last + 1}")
    else:
        send(handler, 200, CONTENT, sent)


def status_first(status: int) -> Answer:
    return lambda handler, number: send(handler, status, b"no") if number == 1 else whole(handler, number)


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_file_is_cached_under_its_checksum_and_asked_for_once(server: Server, tmp_path: Path) -> None:
    first = fetch(f"{server.url}/a/one.csv", DIGEST, tmp_path)
    assert first == tmp_path / DIGEST / "one.csv"
    assert first.read_bytes() == CONTENT
    assert fetch(f"{server.url}/a/one.csv", DIGEST, tmp_path) == first
    assert len(server.asked) == 1
    assert files_under(tmp_path) == [first]


def test_a_cut_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, number: ranged(handler, 200_000 if number < 3 else None)
    assert checksum(fetch(f"{server.url}/one.csv", DIGEST, tmp_path, pause=0.0)) == DIGEST
    ranges = [int(asked[6:-1]) for _, asked in server.asked if asked]
    assert len(ranges) == 2
    assert 0 < ranges[0] <= 200_000 < ranges[1] <= 400_000


def test_a_later_call_resumes_what_an_earlier_one_had_to_give_up(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, number: ranged(handler, 300_000 if number == 1 else None)
    with pytest.raises(DownloadError, match="after 1 attempts"):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path, attempts=1)
    assert not (tmp_path / DIGEST).exists()
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path, attempts=1).read_bytes() == CONTENT
    assert server.asked[1][1] is not None
    assert len(files_under(tmp_path)) == 1


def test_a_killed_processs_part_is_taken_over_but_not_a_live_ones(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, _: ranged(handler)
    live, dead = tmp_path / f".{DIGEST}.partial.1-a", tmp_path / f".{DIGEST}.partial.2-b"
    live.write_bytes(CONTENT[:9])
    dead.write_bytes(CONTENT[:1000])
    os.utime(dead, (0, 0))
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path).read_bytes() == CONTENT
    assert server.asked == [("/one.csv", "bytes=1000-")]
    assert live.read_bytes() == CONTENT[:9]
    assert not dead.exists()


def test_a_server_without_ranges_is_read_again_from_the_start(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, number: send(handler, 200, CONTENT, 100_000 if number == 1 else None)
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path, pause=0.0).read_bytes() == CONTENT


def test_a_stale_part_does_not_spoil_the_file(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, _: ranged(handler)
    (tmp_path / f".{DIGEST}.partial").write_bytes(b"something else")
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path, pause=0.0).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, number: send(handler, 416, b"") if number == 1 else whole(handler, number)
    (tmp_path / f".{DIGEST}.partial").write_bytes(CONTENT + b"more")
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path, pause=0.0).read_bytes() == CONTENT


def test_another_checksum_is_refused_and_nothing_is_left(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=rf"one.csv.*{DIGEST}, expected {'0' * 64}.*nothing was kept"):
        fetch(f"{server.url}/one.csv", "0" * 64, tmp_path)
    assert files_under(tmp_path) == []


def test_a_changed_file_in_the_cache_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = fetch(f"{server.url}/one.csv", DIGEST, tmp_path)
    path.write_bytes(b"changed")
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_asked_again(server: Server, tmp_path: Path, status: int) -> None:
    server.answer = status_first(status)
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path, pause=0.0).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_server_that_stays_in_trouble_is_given_up_after_the_stated_attempts(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, _: send(handler, 500, b"no")
    with pytest.raises(DownloadError, match=r"HTTP 500 .* after 3 attempts.*mirror"):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path, attempts=3, pause=0.0)
    assert len(server.asked) == 3
    assert files_under(tmp_path) == []


def test_a_missing_file_is_reported_at_once(server: Server, tmp_path: Path) -> None:
    server.answer = status_first(404)
    with pytest.raises(DownloadError, match=r"one.csv: got HTTP 404 .*correct the URL"):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path)
    assert len(server.asked) == 1
    assert files_under(tmp_path) == []


def test_nobody_listening_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="connection cut"):
        fetch("http://127.0.0.1:1/one.csv", DIGEST, tmp_path, attempts=2, pause=0.0)


def test_a_server_that_only_drips_is_given_up_and_what_it_brought_is_kept(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", (10.0, 0.2))
    monkeypatch.setattr(downloads, "SLOWEST", 1e6)
    server.answer = dripping
    with pytest.raises(DownloadError, match=r"\d+ bytes in 0 s from .* after 2 attempts.*what arrived is kept"):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path, attempts=2, pause=0.0)
    (part,) = files_under(tmp_path)
    assert 0 < part.stat().st_size < len(CONTENT)
    server.answer = lambda handler, _: ranged(handler)
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path).read_bytes() == CONTENT


def dripping(handler: BaseHTTPRequestHandler, _: int) -> None:
    """Ten bytes every 20 ms: no two of them are so far apart that a timeout would see it."""
    send(handler, 200, CONTENT, 0)
    with suppress(BrokenPipeError, ConnectionResetError):
        for start in range(0, 1000, 10):
            handler.wfile.write(CONTENT[start : start + 10])
            handler.wfile.flush()
            time.sleep(0.02)


def test_a_length_that_is_no_number_is_no_obstacle_to_a_whole_file(server: Server, tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "many")
        handler.end_headers()
        handler.wfile.write(CONTENT)

    server.answer = answer
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path).read_bytes() == CONTENT


def test_a_cache_without_room_is_refused_by_the_file_that_was_wanted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(WritingError, match=rf"{DIGEST}/one\.csv: cannot be written"):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path / "cache")


def test_a_redirect_is_followed_on_this_machine(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, number: (
        send(handler, 302, b"", Location="/moved/two.csv") if number == 1 else whole(handler, number)
    )
    assert fetch(f"{server.url}/one.csv", DIGEST, tmp_path).name == "one.csv"
    assert server.asked[1][0] == "/moved/two.csv"


@pytest.mark.parametrize(
    "location", ["file:///etc/hostname", "ftp://example.org/one.csv", "http://example.org/one.csv"]
)
def test_a_redirect_to_an_unsafe_address_is_refused(server: Server, tmp_path: Path, location: str) -> None:
    server.answer = lambda handler, _: send(handler, 301, b"", Location=location)
    with pytest.raises(DownloadError, match=location):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path)
    assert files_under(tmp_path) == []


def test_endless_redirects_end(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, _: send(handler, 301, b"", Location="/one.csv")
    with pytest.raises(DownloadError, match="more than 10 redirects"):
        fetch(f"{server.url}/one.csv", DIGEST, tmp_path)


@pytest.mark.parametrize(
    ("url", "sha256", "message"),
    [
        ("http://example.org/one.csv", DIGEST, "plain http"),
        ("ftp://example.org/one.csv", DIGEST, "not an http"),
        ("one.csv", DIGEST, "not an http"),
        ("https://example.org/", DIGEST, "no file name"),
        ("https://example.org/a/../one.csv", DIGEST, "'..' in the path"),
        ("https://example.org/a/%2e%2e/one.csv", DIGEST, "'..' in the path"),
        (PUBLIC, "abc", "not 64 hexadecimal digits"),
    ],
)
def test_an_address_that_cannot_be_trusted_is_refused(url: str, sha256: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=message):
        fetch(url, sha256, tmp_path)
    assert files_under(tmp_path) == []


def test_a_folder_stands_in_for_the_network(tmp_path: Path) -> None:
    copy = tmp_path / "a mirror" / "files.example.org" / "set" / "one.csv"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(CONTENT)
    mirror = (tmp_path / "a mirror").as_uri()
    assert fetch(PUBLIC, DIGEST, tmp_path / "cache", mirror).read_bytes() == CONTENT
    assert fetch(copy.as_uri(), DIGEST, tmp_path / "other").read_bytes() == CONTENT


def test_another_server_stands_in_for_the_network(server: Server, tmp_path: Path) -> None:
    assert fetch(PUBLIC, DIGEST, tmp_path, f"{server.url}/prefix/").read_bytes() == CONTENT
    assert server.asked[0][0] == "/prefix/files.example.org/set/one.csv"


def test_a_mirror_is_verified_like_any_other_source(tmp_path: Path) -> None:
    copy = tmp_path / "mirror" / "files.example.org" / "set" / "one.csv"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"changed")
    with pytest.raises(DownloadError, match="expected"):
        fetch(PUBLIC, DIGEST, tmp_path / "cache", (tmp_path / "mirror").as_uri())
    assert files_under(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("mirror", "message"),
    [("file:///no/such/folder", "no file"), ("/plain/folder", "neither file"), ("file://host/x", "names the host")],
)
def test_a_mirror_that_cannot_serve_says_so(mirror: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=message):
        fetch(PUBLIC, DIGEST, tmp_path, mirror)


def test_the_mirror_keeps_host_and_path() -> None:
    assert mirrored(PUBLIC, "file:///m") == "file:///m/files.example.org/set/one.csv"
    assert mirrored(PUBLIC, None) == PUBLIC


def test_many_at_once_all_get_the_whole_file(server: Server, tmp_path: Path) -> None:
    server.answer = lambda handler, number: ranged(handler, 100_000 if number % 3 == 1 else None)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: fetch(f"{server.url}/one.csv", DIGEST, tmp_path, pause=0.0), range(8)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert files_under(tmp_path) == [tmp_path / DIGEST / "one.csv"]
