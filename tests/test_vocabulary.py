"""The words that the code and its pages do not use, because the field has others (CONTRIBUTING.md, "Words").

``python tests/test_vocabulary.py [PATH]...`` prints every place that would fail.
"""

import ast
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = {
    "film": "video",
    "films": "videos",
    "picture": "image or frame",
    "pictures": "images or frames",
    "colour": "color",
    "colours": "colors",
    "coloured": "colored",
    "colourless": "colorless",
    "house": "project or code base",
    "room": "package, memory or disk space",
    "rooms": "packages",
    "door": "entry point or interface",
    "doors": "entry points or interfaces",
    "home": "host or environment",
    "homes": "hosts or environments",
    "crew": "thread pool or workers",
    "wish": "request or setting",
    "wishes": "requests or settings",
    "nobody": "no user, no caller",
    "everybody": "all peers",
    "somebody": "a user, another process",
    "anybody": "any user",
    "rival": "peer",
    "rivals": "peers",
    "contender": "candidate or model",
    "contenders": "candidates or models",
    "standin": "stub",
    "standins": "stubs",
    "untold": "no_progress",
}
"""A word and what is said instead."""

ALLOWED = (
    r"^(colours|pictures)$|[\"'`.](colours|pictures)[\"'`=]|[\[(](colours|pictures)[\])]",  # inputs that saved workflows hold
    r"[\"'`]contenders?[\"'`]",  # keys of report.json
    r"[\"'`]picture[\"'`]",  # a key of the measures in report.json
    r"[\"'`]--picture[\"'`]",  # an option of ``bench halo``
    r"[\"'`]film[\"'`]",  # a transfer characteristic and a set of primaries of ITU-T H.273
    r"coded pictures?|pict_type|PictureType|picture_type|attached_pic\w*",  # the words of the video standards and of FFmpeg
    r"colour fix|\"colour\"|'colour'",  # in the identity of an interrupted video, and a key of its journal
    r"\} pictures:\{",  # in the identity of an image sequence
    r"\| pictures \{",  # in the identity of an interrupted video of images in memory
    r"[Hh]ome (directory|folder)|HOME|Path\.home|home\(\)|~/",
    r"homepage|Homepage",
    r"\bFILM\b|film_net|FilmNet",  # a network for frame interpolation
    r"film[- ]grain|film_grain|grain of film",
)
"""What stays: names on disk, words of a standard."""

SOURCES = sorted(path for top in ("runtime", "nodes") for path in (ROOT / top).rglob("*.py"))
PAGES = sorted(
    path
    for pattern in ("*.md", ".github/*.md", "nodes/web/docs/**/*.md", "models/*.md", "runtime/**/*.md", "workflows/**/*.md")
    for path in ROOT.glob(pattern)
)
LOCALES = sorted((ROOT / "locales" / "en").glob("*.json"))
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def forbidden_in(text: str) -> list[str]:
    """The forbidden words of a text or an identifier, without what is allowed."""
    for pattern in ALLOWED:
        text = re.sub(pattern, " ", text)
    return [word for word in _WORD.findall(text.replace("stand-in", "standin")) if word.lower() in FORBIDDEN]


def texts_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of everything that is looked at: identifiers, strings and comments of Python, lines of pages,
    titles and notes of workflows."""
    if path in WORKFLOWS:
        for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]:
            notes = node["widgets_values"] if node["type"] == "MarkdownNote" else []
            yield from ((node["id"], text) for text in (node.get("title", ""), *notes))
        return
    if path.suffix == ".json":
        for text in _strings(json.loads(path.read_text(encoding="utf-8"))):
            yield 0, text
        return
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(source.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NAME, tokenize.COMMENT):
            yield token.start[0], token.string
        elif token.type == tokenize.STRING:
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str):
        yield value


def places(path: Path) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{line}: {word} ({FORBIDDEN[word.lower()]}): {text.strip()[:100]}"
        for line, text in texts_of(path)
        for word in forbidden_in(text)
    ]


@pytest.mark.parametrize("path", [*SOURCES, *PAGES, *LOCALES, *WORKFLOWS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_words_of_the_field_are_used(path: Path) -> None:
    assert places(path) == []


def test_a_forbidden_word_would_be_found(tmp_path: Path) -> None:
    assert forbidden_in("def lay_picture(film): ...") == ["picture", "film"]
    assert forbidden_in('asdict(x)["picture"]') == []
    assert forbidden_in("filmic headroom rooms") == ["rooms"]


def test_module_names_are_unique() -> None:
    """A name leads to one module, but for the few that every package may have; stubs carry the names of ComfyUI's modules."""
    shared = {"__init__", "__main__", "read", "write", "errors", "image", "video"}
    seen: dict[str, list[str]] = {}
    for path in SOURCES:
        if path.stem not in shared and "stubs" not in path.parts:
            seen.setdefault(path.stem, []).append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in seen.items() if len(paths) > 1} == {}


def test_no_folder_holds_more_than_fifteen_modules() -> None:
    folders = {path.parent for path in SOURCES if "stubs" not in path.parts}
    sizes = {
        folder.relative_to(ROOT).as_posix(): len([p for p in folder.glob("*.py") if p.stem != "__init__"]) for folder in folders
    }
    assert {name: size for name, size in sizes.items() if size > 15} == {}


def test_one_class_is_called_progress() -> None:
    classes: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and "stubs" not in path.parts:
                classes.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert classes.get("Progress") == ["runtime/progress.py"]
    assert {name: paths for name, paths in classes.items() if len(paths) > 1} == {}


if __name__ == "__main__":
    paths = [Path(name).resolve() for name in sys.argv[1:]] or [*SOURCES, *PAGES, *LOCALES]
    for path in paths:
        for each in [path] if path.is_file() else sorted(path.rglob("*.py")) + sorted(path.rglob("*.md")):
            print("\n".join(places(each)) or "", end="\n" if places(each) else "")
