"""The worst files in a process of their own, as a person would meet them: a sentence, exit code 2, and never 1 GB of memory."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GIGABYTE = 10**9
MEGABYTES = 100 * 2**20

# A small process in between: the peak that Linux reports of a process begins at the size of the one that started it.
MEASURED = (
    "import os, sys; quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)];"
    "process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet);"
    "_, status, used = os.wait4(process, 0); print(os.waitstatus_to_exitcode(status), used.ru_maxrss)"
)


def repeated(head: str, piece: str, tail: str, size: int = MEGABYTES) -> Iterator[bytes]:
    """A JSON text of about ``size`` bytes, in chunks."""
    count = size // (len(piece) + 1)
    yield head.encode()
    many = ",".join([piece] * 10_000)
    for _ in range(count // 10_000):
        yield f"{many},".encode()
    yield (piece + tail).encode()


def subgraphs(depth: int) -> Iterator[bytes]:
    """Every subgraph holds the next one twice: a few kilobytes that unfold to 2 ** depth nodes."""
    definitions = [
        {"id": f"g{level}", "name": "g", "nodes": [_node(1, f"g{level + 1}"), _node(2, f"g{level + 1}")], "links": []}
        for level in range(depth)
    ]
    definitions.append({"id": f"g{depth}", "name": "leaf", "nodes": [_node(1, "PreviewAny")], "links": []})
    yield json.dumps(
        {"version": 0.4, "nodes": [_node(1, "g0")], "links": [], "definitions": {"subgraphs": definitions}}
    ).encode()


def circle(length: int) -> Iterator[bytes]:
    """Reroutes that feed each other."""
    nodes = [
        _node(at, "Reroute") | {"inputs": [{"name": "", "type": "*", "link": at}], "outputs": [{"name": "", "type": "*"}]}
        for at in range(length)
    ]
    links = [[at, (at + 1) % length, 0, at, 0, "*"] for at in range(length)]
    shown = _node(length, "PreviewAny") | {"inputs": [{"name": "source", "type": "*", "link": length}]}
    yield json.dumps({"version": 0.4, "nodes": [*nodes, shown], "links": [*links, [length, 0, 0, length, 0, "*"]]}).encode()


def prompt_chain(length: int) -> Iterator[bytes]:
    """An API prompt whose last node reads its first, through all others."""
    nodes = {str(at): {"class_type": "ImageInvert", "inputs": {"image": [str((at + 1) % length), 0]}} for at in range(length)}
    nodes["out"] = {"class_type": "PreviewImage", "inputs": {"images": ["0", 0]}}
    yield json.dumps(nodes).encode()


def _node(node_id: int, kind: str) -> dict[str, object]:
    return {"id": node_id, "type": kind, "mode": 0, "inputs": [], "outputs": [], "properties": {}}


NODE = '{"id":1,"type":"A"}'
FILES: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "100 MB of nodes": (lambda: repeated('{"version":0.4,"links":[],"nodes":[', NODE, "]}"), "larger than 64 MB"),
    "60 MB of nodes": (lambda: repeated('{"links":[],"nodes":[', NODE, "]}", 60 * 2**20), "more than"),
    "60 MB of lists": (lambda: repeated("[", "[]", "]", 60 * 2**20), "more than"),
    "60 MB of text": (lambda: repeated('{"a":"\U0001f600', "x" * 50, '"}', 60 * 2**20), "not a workflow"),
    "many nodes of no class": (
        lambda: iter([json.dumps({str(at): {"class_type": "A", "inputs": {}} for at in range(290_000)}).encode()]),
        "Unknown node class 'A'",
    ),
    "many links": (
        lambda: iter(
            [json.dumps({"nodes": [_node(1, "A")], "links": [[at, 1, 0, 1, 0, "*"] for at in range(200_000)]}).encode()]
        ),
        "Unknown node class 'A'",
    ),
    "not UTF-8": (lambda: iter([b'{"nodes": [], "x": "\xff\xfe\xfa"}']), "is not UTF-8"),
    "nested lists": (lambda: iter([b"[" * 10**6]), "nested too deeply"),
    "nested objects": (lambda: iter([b'{"a":' * 10**6]), "nested too deeply"),
    "subgraphs that double": (lambda: subgraphs(40), "expand to more than"),
    "a circle of reroutes": (lambda: circle(3), "cycle"),
    "a long circle of reroutes": (lambda: circle(3000), "nested too deeply"),
    "a circle of 100,000 nodes": (lambda: prompt_chain(100_000), "depends on itself"),
    "a number without end": (lambda: iter([b'{"nodes": [], "x": ' + b"9" * 10**6 + b"}"]), "numbers that are too long"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_worst_files_end_in_a_sentence_with_little_memory(name: str, root: Path, tmp_path: Path) -> None:
    make, sentence = FILES[name]
    path = tmp_path / "hostile.json"
    with path.open("wb") as file:
        file.writelines(make())
    command = [sys.executable, "-c", MEASURED, sys.executable, "-m", "runtime", "check", str(path)]
    done = subprocess.run(command, cwd=root, capture_output=True, check=True)
    code, peak = map(int, done.stdout.split())
    text = done.stderr.decode()[:5000]
    assert code == 2, text
    assert text.startswith("Error: ")
    assert sentence in text
    assert "Traceback" not in text
    assert peak * 1024 < GIGABYTE
