"""Damaged workflows end in a sentence and exit code 2, or are fine: never a traceback, never a hang.

Seeded, so that a failure can be run again. A few hundred here; before a release ``UPSCALE8K_FUZZ=10000`` tries that many.
The originals are the shipped workflows, recorded ones, group nodes, and subgraphs with promoted widgets, nested and twice.
"""

import copy
import json
import os
import re
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from upscale8k.runtime.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent
COUNT = int(os.environ.get("UPSCALE8K_FUZZ", "300"))
CHUNKS = 10
WEIRD: list[Any] = [
    None, True, -1, 0, 2**70, -(2**70), 1e308, float("nan"), float("inf"), "", "\0", "x" * 5000, "../x", [], {}, [[]],
    {"__value__": [1]}, ["1", 0], [1, 0], ["nope", 0], [None], {"inputs": []}, "UpscaleModel", "Reroute", "PrimitiveNode",
]  # fmt: skip


@cache
def sources() -> list[Any]:
    corpus = sorted((ROOT.parent / "shared" / "conformance").glob("*/*.ui.json"))[::7]
    paths = [*sorted((ROOT / "workflows").glob("*.json")), *corpus]
    return [*(json.loads(path.read_text(encoding="utf-8")) for path in paths), *GROUPS, nested()]


def group(inner: list[Any], links: list[Any], **more: Any) -> dict[str, Any]:
    return {"nodes": inner, "links": links, "external": [[len(inner) - 1, 0, "IMAGE"]], **more}


def node(node_id: int, kind: str, values: list[Any], inputs: list[str], outputs: int = 1, link: int = 1) -> dict[str, Any]:
    sockets = [{"name": name, "type": "IMAGE", "link": link + at} for at, name in enumerate(inputs)]
    shown = [{"name": "IMAGE", "type": "IMAGE", "links": []}] * outputs
    return {"id": node_id, "type": kind, "mode": 0, "inputs": sockets, "outputs": shown, "widgets_values": values}


SCALE_INPUTS = [
    {"name": "image", "type": "IMAGE", "link": 1},
    {"name": "scale_by", "type": "FLOAT", "link": 2, "widget": {"name": "scale_by"}},
]
GROUPS: list[Any] = [
    {
        "version": 0.4,
        "nodes": [
            node(1, "EmptyImage", [64, 64, 1, 0], []),
            node(2, "workflow>pair", [5, "fixed", "bicubic"], ["image"]),
            node(3, "PreviewImage", [], ["images"], 0, 2),
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
        "extra": {
            "groupNodes": {
                "pair": group(
                    [
                        node(0, "PrimitiveNode", [5, "fixed"], []),
                        node(0, "ImageInvert", [], ["image"]),
                        node(0, "Reroute", [], [""]),
                        node(0, "ImageScaleBy", ["bicubic", 2.0], ["image"]) | {"inputs": SCALE_INPUTS},
                    ],
                    [[1, 0, 2, 0, 1, "IMAGE"], [2, 0, 3, 0, 1, "IMAGE"], [0, 0, 3, 1, 1, "FLOAT"], [None, 0, 1, 0, 1, "IMAGE"]],
                    config={"3": {"input": {"scale_by": {"name": "factor"}}, "output": {"0": {"visible": True}}}},
                )
            }
        },
    }
]


def nested() -> dict[str, Any]:
    """Two instances of a subgraph that holds another, with values of three generations of files."""
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")

    def graph(name: str, inner: dict[str, Any]) -> dict[str, Any]:
        links = [(1, -10, 0, 1, 0, "IMAGE"), (2, -10, 1, 1, 1, "FLOAT"), (3, 1, 0, -20, 0, "IMAGE")]
        inner["inputs"].append({"name": "scale_by", "type": "FLOAT", "link": 2, "widget": {"name": "scale_by"}})
        ports = [{"name": "image", "type": "IMAGE", "linkIds": [1]}, {"name": "scale_by", "type": "FLOAT", "linkIds": [2]}]
        return {
            "id": name,
            "name": name,
            "nodes": [inner],
            "links": [dict(zip(keys, link, strict=True)) for link in links],
            "inputs": ports,
            "outputs": [{"name": "IMAGE", "type": "IMAGE", "linkIds": [3]}],
        }

    inside = graph("inside", node(1, "ImageScaleBy", ["bicubic", 2.0], ["image"]))
    around = graph("around", node(1, "inside", [3.0], ["image"]))
    old = node(3, "around", [4.0], ["image"]) | {"properties": {"proxyWidgets": [["-1", "scale_by"], ["1", "scale_by"]]}}
    nodes = [node(1, "EmptyImage", [64, 64, 1, 0], []), old, node(4, "around", [5.0], ["image"], 1, 2)]
    nodes += [node(5, "PreviewImage", [], ["images"], 0, 3), node(6, "PreviewImage", [], ["images"], 0, 4)]
    links = [[1, 1, 0, 3, 0, "IMAGE"], [2, 1, 0, 4, 0, "IMAGE"], [3, 3, 0, 5, 0, "IMAGE"], [4, 4, 0, 6, 0, "IMAGE"]]
    return {"version": 0.4, "nodes": nodes, "links": links, "definitions": {"subgraphs": [inside, around]}}


def places(tree: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        found.append((tree, key))
        places(value, found)
    return found


def mutate(tree: Any, random: Random) -> None:
    for _ in range(random.choice([1, 1, 2, 5, 20])):
        found = places(tree, [])
        if not found:
            return
        container, key = random.choice(found)
        match random.randrange(6):
            case 0:
                del container[key]
            case 1:
                container[key] = copy.deepcopy(random.choice(WEIRD))
            case 2:  # something from elsewhere in the same file
                other, other_key = random.choice(found)
                container[key] = json.loads(json.dumps(other[other_key]))
            case 3 if isinstance(container, list):
                container.append(json.loads(json.dumps(container[key])))
            case 4 if isinstance(container[key], int | float):
                container[key] = container[key] + random.choice([-1, 1, 1000, -(10**9)])
            case _:
                container[key] = f"@nested {random.choice([3, 50, 2000, 100_000])}@"


def damaged(original: Any, random: Random) -> bytes:
    tree = json.loads(json.dumps(original))
    mutate(tree, random)
    text = re.sub(r'"@nested (\d+)@"', lambda match: "[" * int(match.group(1)) + "]" * int(match.group(1)), json.dumps(tree))
    data = bytearray(text.encode())
    if random.random() < 0.1:
        for _ in range(random.randrange(1, 5)):
            data[random.randrange(len(data))] = random.randrange(256)
    if random.random() < 0.05:
        del data[random.randrange(len(data)) :]
    return bytes(data)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_a_damaged_workflow_is_fine_or_refused_with_a_sentence(
    chunk: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    originals = sources()
    for index in range(COUNT // CHUNKS):
        seed = chunk * 1_000_000 + index
        random = Random(seed)
        path = tmp_path / "damaged.json"
        path.write_bytes(damaged(random.choice(originals), random))
        code = main(["check", str(path)])
        printed = capsys.readouterr()
        assert code in (0, 2), f"seed {seed}: exit code {code}"
        assert "Traceback" not in printed.err, f"seed {seed}"
        assert printed.out if code == 0 else printed.err.strip(), f"seed {seed} says nothing"
