"""URLs as people and servers write them: taken apart, without a secret inside, and fit to stand in a message.

A URL of a study goes into commands, logs, records and the report. One with a password or a token in it is therefore
refused; `requests` takes them from ~/.netrc, which is nobody else's to read.
"""

import re
from urllib.parse import SplitResult, urlsplit

_SECRET = re.compile(
    r"token|secret|signature|passw|credential|api_?key|(^|[-_])(key|sig|pwd|auth|keyid)$", re.IGNORECASE
)


class AddressError(ValueError):
    """A URL that is none, or holds a secret; the message says what to write, and does not repeat the secret."""


def split(url: str) -> SplitResult:
    """Scheme, host, path and the rest; raises AddressError where they cannot be told apart."""
    try:
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError as error:
        told = re.sub("//[^/@]*@", "//", re.split("[?#]", url)[0])
        reason = "" if told != url else f" ({error})"  # which may quote what is hidden here
        raise AddressError(f"{told!r}: no URL{reason}; write https://host/path") from error
    return parts


def public(url: str) -> str:
    """The URL for a message: without user and password, query and fragment, which may be those of a signed redirect."""
    parts = split(url)
    hidden = "?..." if parts.query or parts.fragment else ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl() + hidden


def check(url: str) -> None:
    """Raise AddressError for a URL that holds a user name, a password, a token, a key or a signature."""
    if reason := fault(url):
        raise AddressError(reason)


def fault(url: str) -> str:
    """Why a URL is refused, see `check`; empty where it is not."""
    try:
        parts = split(url)
    except AddressError as error:
        return str(error)
    named = [pair.partition("=")[0] for pair in re.split("[&;]", f"{parts.query}&{parts.fragment}")]
    if "@" in parts.netloc or any(map(_SECRET.search, named)):
        return (
            f"{public(url)}: holds a password, token or key, which would stand in logs, records and the report; put it "
            "into ~/.netrc, or fetch the file yourself and name it under path:"
        )
    return ""
