"""Damaged workflows end in a sentence and exit code 2, or are fine: never a traceback, never a hang.

Seeded, so that a failure can be run again: UPSCALE8K_FUZZ=10000 tries that many.
"""

import copy
import json
import os
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from upscale8k.runtime.cli import main

ROOT = Path(__file__).resolve().parent.parent.parent
COUNT = int(os.environ.get("UPSCALE8K_FUZZ", "600"))
CHUNKS = 10
WEIRD: list[Any] = [
    None, True, -1, 0, 2**70, -(2**70), 1e308, float("nan"), float("inf"), "", "\0", "x" * 5000, "../x", [], {}, [[]],
    {"__value__": [1]}, ["1", 0], [1, 0], ["nope", 0], [None], {"inputs": []}, "UpscaleModel", "Reroute", "PrimitiveNode",
]  # fmt: skip


def sources() -> list[Any]:
    corpus = sorted((ROOT.parent / "shared" / "conformance").glob("*/*.ui.json"))[::7]
    return [json.loads(path.read_text(encoding="utf-8")) for path in [*sorted((ROOT / "workflows").glob("*.json")), *corpus]]


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
