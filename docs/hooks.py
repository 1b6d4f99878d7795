"""What mkdocs lacks for these pages: links out of docs/ and a page for every room.

The pages are read in two places, in the repository and on the site. A link to a file elsewhere in the repository
(`../envs/README.md`, `../tests/test_cli.py`) leads on the site to a page made of that file. The reference is one page a
room, made from docstrings by mkdocstrings; nothing lists the rooms, for the files of the package do.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "workflow" / "multimep"
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=[)#])")
ROOM = re.compile(r"^\| `([a-z_/]+)` \|", re.MULTILINE)
LANGUAGES = {".py": "python", ".yaml": "yaml", ".cff": "yaml", ".json": "json", ".toml": "toml", ".sh": "bash"}
NO_SEARCH = "---\nsearch: {exclude: true}\n---\n"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Rooms at the end of the navigation, those of a folder together."""
    folders: dict[str, list[dict[str, str]]] = {}
    for room in rooms():
        folder, name = posixpath.split(room)
        folders.setdefault(folder, []).append({name: f"reference/{room}.md"})
    config.nav.append({"Reference": [*folders.pop(""), *({name: pages} for name, pages in folders.items())]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """A page for every room, and for every file of the repository that a page links to."""
    for room in rooms():
        module = ".".join(("multimep", *room.split("/")))
        title = f"# {room}\n\n::: {module}\n"
        files.append(File.generated(config, f"reference/{room}.md", content=title))
    for path in linked(sorted((ROOT / "docs").glob("*.md"))):
        page = File.generated(config, place(path), content=as_page(path), inclusion=InclusionLevel.NOT_IN_NAV)
        files.append(page)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links of a page as they lead on the site; rooms of the architecture's table lead to their reference."""
    here = page.file.src_uri
    if here == "architecture.md":
        markdown = ROOM.sub(lambda found: to_room(found, files), markdown)
    origin = origin_of(here)
    return LINK.sub(lambda found: translated(found[1], origin, here), markdown) if origin else markdown


def rooms() -> list[str]:
    """Rooms as paths below the package without suffix: dataset, methods/additive; a folder's own room is its name."""
    found = (path.relative_to(PACKAGE).with_suffix("").as_posix() for path in sorted(PACKAGE.rglob("*.py")))
    return [name.removesuffix("/__init__") for name in found if name not in ("__init__", "__main__")]


def to_room(found: re.Match[str], files: Files) -> str:
    """A row's first cell as a link, where the room has a page."""
    known = files.get_file_from_path(f"reference/{found[1]}.md")
    return f"| [`{found[1]}`](reference/{found[1]}.md) |" if known else found[0]


def linked(pages: list[Path]) -> list[Path]:
    """Files of the repository outside docs/ that these pages link to, directly or through one another."""
    waiting, found = list(pages), dict[Path, None]()
    while waiting:
        path = waiting.pop()
        for target in targets(path):
            if target not in found and (ROOT / "docs") not in target.parents:
                found[target] = None
                waiting.append(target)
    return list(found)


def targets(path: Path) -> Iterator[Path]:
    """Files of the repository that a Markdown file links to."""
    if path.suffix == ".md":
        for link in LINK.findall(path.read_text(encoding="utf-8")):
            target = (path.parent / link).resolve()
            if ROOT in target.parents and target.is_file():
                yield target


def place(path: Path) -> str:
    """Where a file of the repository stands among the pages."""
    inside = path.relative_to(ROOT).as_posix()
    if inside.startswith("docs/"):
        return inside.removeprefix("docs/")
    return f"repository/{inside}" if path.suffix == ".md" else f"repository/{inside}.md"


def origin_of(source: str) -> Path | None:
    """The folder of the repository from which the links of a page start; None for a page made of code."""
    if source.startswith("reference/"):
        return None
    path = PurePosixPath(source)
    if path.parts[0] == "repository":
        origin = ROOT.joinpath(*path.parts[1:])
        return origin.parent if origin.is_file() else None
    return (ROOT / "docs" / path).parent


def translated(link: str, origin: Path, here: str) -> str:
    """A link from the page `here`, whose file lies in `origin`, as it leads on the site."""
    target = (origin / link).resolve()
    if "://" in link or ROOT not in target.parents or not target.is_file():
        return link
    return posixpath.relpath(place(target), posixpath.dirname(here) or ".")


def as_page(path: Path) -> str:
    """A file as a page: Markdown as it is, anything else as code; the search leaves both out."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return NO_SEARCH + text
    language = LANGUAGES.get(path.suffix, "text")
    return f"{NO_SEARCH}# `{path.relative_to(ROOT).as_posix()}`\n\n``````{language}\n{text.rstrip()}\n``````\n"
