"""Generated workflows and the prompts that ComfyUI's frontend 1.47 made of them, recorded from a real canvas.

Each file of ``recorded`` holds a workflow, its prompt, and what ``/object_info`` said of the classes in it. They have
what people's own workflows have: nested, repeated, muted and bypassed instances, ``proxyWidgets``, primitives out of range,
dynamic combo boxes, growing inputs, object links of version 1, missing and shortened values. The frontend renumbers inner
nodes, so graphs are compared, not ids.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.graph.convert.converter import convert_workflow
from upscale8k.runtime.graph.prompts import is_link

RECORDED = sorted((Path(__file__).parent / "recorded").glob("*.json"))


def fingerprints(prompt: dict[str, Any]) -> list[str]:
    """One for each node: its class, its values, and the same of every node that it reads."""
    found: dict[str, str] = {}

    def of(node_id: str, path: tuple[str, ...] = ()) -> str:
        if node_id not in found and node_id not in path:
            inputs = {
                name: [of(value[0], (*path, node_id)), value[1]] if is_link(value) and value[0] in prompt else ["is", value]
                for name, value in prompt[node_id]["inputs"].items()
            }
            text = json.dumps([prompt[node_id]["class_type"], inputs], sort_keys=True)
            found[node_id] = hashlib.sha256(text.encode()).hexdigest()
        return found.get(node_id, "circle")

    return sorted(of(node_id) for node_id in prompt)


def as_javascript(value: Any) -> Any:
    """JavaScript has one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: as_javascript(one) for key, one in value.items()}
    return [as_javascript(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_workflow_converts_to_the_graph_that_the_frontend_sent(path: Path) -> None:
    recorded = json.loads(path.read_text(encoding="utf-8"))
    conversion = convert_workflow(recorded["ui"], recorded["definitions"])
    assert conversion.problems == []
    assert fingerprints(as_javascript(conversion.prompt)) == fingerprints(as_javascript(recorded["api"]))


def test_the_recordings_are_there() -> None:
    assert len(RECORDED) == 24
