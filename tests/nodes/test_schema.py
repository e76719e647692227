"""The names that saved workflows hold. ``schema.json`` beside this file is their record."""

import json
import os
from pathlib import Path
from typing import Any

from upscale8k.nodes import OWN_NODES, get_node_classes
from upscale8k.runtime.host import LocalHost

RECORD = Path(__file__).with_name("schema.json")
WRITE = "UPSCALE8K_WRITE_SCHEMA"
ADVICE = (
    "Saved workflows name nodes by id, inputs and outputs by name, and widget values by their order. Do not rename, remove, "
    "retype or reorder them, and add new inputs after the last one. For what is only new, or was never released: "
    f"{WRITE}=1 python -m pytest tests/nodes/test_schema.py"
)


def schema(host: LocalHost) -> dict[str, Any]:
    """Node id to sections of [name, type], in order."""
    nodes = get_node_classes(host)
    found: dict[str, Any] = {}
    for node_id in OWN_NODES:
        node: Any = nodes[node_id]
        sections = node.INPUT_TYPES()
        found[node_id] = {
            section: [[name, "COMBO" if isinstance(spec[0], list) else spec[0]] for name, spec in sections[section].items()]
            for section in ("required", "optional")
            if section in sections
        }
        names = getattr(node, "RETURN_NAMES", node.RETURN_TYPES)
        found[node_id]["outputs"] = [list(output) for output in zip(names, node.RETURN_TYPES, strict=True)]
    return found


def as_text(record: dict[str, Any]) -> str:
    """One line for each input, so that a change is one line of a diff."""
    lines = []
    for node_id, sections in record.items():
        rows = [
            f'    "{section}": [' + ",".join(f"\n      {json.dumps(pair)}" for pair in pairs) + ("\n    ]" if pairs else "]")
            for section, pairs in sections.items()
        ]
        lines.append(f'  "{node_id}": {{\n' + ",\n".join(rows) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def test_the_names_that_saved_workflows_hold_have_not_changed(host: LocalHost) -> None:
    now = schema(host)
    if os.environ.get(WRITE) == "1":
        RECORD.write_text(as_text(now), encoding="utf-8")
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    changed = [node_id for node_id in {**recorded, **now} if recorded.get(node_id) != now.get(node_id)]
    assert not changed, f"{', '.join(changed)}: {ADVICE}"
