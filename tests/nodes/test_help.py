"""Every node has a help page that says what the node declares: each input with its range, each output, an example."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import upscale8k
from upscale8k.nodes import DISPLAY_NAMES, OWN_NODES, get_node_classes
from upscale8k.runtime.host import LocalHost

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / upscale8k.WEB_DIRECTORY / "docs"
WRITE = "UPSCALE8K_WRITE_HELP"
COMMAND = f"{WRITE}=1 python -m pytest tests/nodes/test_help.py"
ADVICE = f"Write about what is new there, and let the facts be filled in: {COMMAND}"
SECTIONS = ["Inputs", "Outputs", "Example", "Common mistakes"]
NO_OUTPUT = "None: it is the end of a workflow."

# One input or output of a page: a line that the narrow panel of the canvas can show.
LINE = re.compile(r"^- \*\*`(?P<name>[^`]+)`\*\* \*(?P<facts>[^*]+)\.\* (?P<advice>.+)$", re.MULTILINE)


@pytest.fixture
def other(tmp_path: Path) -> LocalHost:
    """A home where there are a picture, a film and a model, so that choices of files are told from fixed words."""
    folder = tmp_path / "other"
    folder.mkdir()
    for name in ("a.png", "a.mp4", "own.safetensors"):
        (folder / name).write_bytes(b"")
    return LocalHost(input_dir=folder, output_dir=folder, models_dirs=(folder,))


def inputs(node: Any) -> dict[str, tuple[Any, dict[str, Any], bool]]:
    """Type, options, and whether it must be there, of every input that a person sees."""
    declared = node.INPUT_TYPES()
    return {
        name: (spec[0], spec[1] if len(spec) > 1 else {}, section == "required")
        for section in ("required", "optional")
        for name, spec in declared.get(section, {}).items()
    }


def input_facts(node: Any, elsewhere: Any) -> dict[str, str]:
    """By input: its type, default and range, as the page says it."""
    there = inputs(elsewhere)
    return {name: facts(kind, options, needed, there[name][0]) for name, (kind, options, needed) in inputs(node).items()}


def facts(kind: Any, options: dict[str, Any], needed: bool, there: Any) -> str:
    default = options.get("default")
    said = "" if default in (None, "") else f", `{str(default).lower() if isinstance(default, bool) else default}` by default"
    if isinstance(kind, list):
        return f"choice{said}: " + (", ".join(f"`{word}`" for word in kind) if kind == there else "available files")
    if kind in ("INT", "FLOAT"):
        return f"{kind}{said}, {options['min']} to {options['max']}"
    if kind in ("STRING", "BOOLEAN"):
        return f"{kind}{said}"
    return f"{kind}, a wire" if needed else f"{kind}, a wire that may be left open"


def output_facts(node: Any) -> dict[str, str]:
    """By output: its type."""
    names = getattr(node, "RETURN_NAMES", node.RETURN_TYPES)
    return dict(zip(names, node.RETURN_TYPES, strict=True))


def section(page: str, title: str) -> str:
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0].strip()


def entries(page: str, title: str) -> dict[str, tuple[str, str]]:
    """The lines of a section, by name: the facts, and the advice."""
    return {found["name"]: (found["facts"], found["advice"]) for found in LINE.finditer(section(page, title))}


def lines(wanted: dict[str, str], written: dict[str, tuple[str, str]], tooltips: dict[str, str]) -> str:
    """The lines that there should be, with the advice that is written, or else the tooltip."""
    advice = {name: written[name][1] if name in written else tooltips[name] for name in wanted}
    return "\n".join(f"- **`{name}`** *{told}.* {advice[name]}" for name, told in wanted.items()) or NO_OUTPUT


def filled_in(page: str, node_id: str, node: Any, elsewhere: Any) -> str:
    """The page with its lists as the node declares them; a page that is not there yet begins with what is known."""
    if not page:
        page = f"# {DISPLAY_NAMES[node_id]}\n\n{node.DESCRIPTION}\n" + "".join(f"\n## {title}\n\n" for title in SECTIONS)
    tips = {name: options.get("tooltip", "") for name, (_, options, _) in inputs(node).items()}
    results = dict(zip(output_facts(node), getattr(node, "OUTPUT_TOOLTIPS", ()), strict=True))
    for title, wanted, said in (("Inputs", input_facts(node, elsewhere), tips), ("Outputs", output_facts(node), results)):
        before, _, rest = page.partition(f"\n## {title}\n")
        after = rest.partition("\n## ")
        page = f"{before}\n## {title}\n\n{lines(wanted, entries(page, title), said)}\n{after[1]}{after[2]}"
    return page


@pytest.fixture(params=OWN_NODES)
def node_id(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def page(node_id: str, host: LocalHost, other: LocalHost) -> str:
    """The English help page of a node, brought up to date first where that was asked for."""
    file = DOCS / node_id / "en.md"
    if os.environ.get(WRITE) == "1":
        file.parent.mkdir(parents=True, exist_ok=True)
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        file.write_text(
            filled_in(text, node_id, get_node_classes(host)[node_id], get_node_classes(other)[node_id]), encoding="utf-8"
        )
    assert file.is_file(), f"There is no help page {file}. {ADVICE}"
    return file.read_text(encoding="utf-8")


def test_the_lists_say_what_the_node_declares(page: str, node_id: str, host: LocalHost, other: LocalHost) -> None:
    node = get_node_classes(host)[node_id]
    told = {name: said for name, (said, _) in entries(page, "Inputs").items()}
    assert told == input_facts(node, get_node_classes(other)[node_id]), ADVICE
    assert list(told) == list(inputs(node)), f"The order on the page is not the order on the node. {ADVICE}"
    results = {name: said for name, (said, _) in entries(page, "Outputs").items()}
    assert results == output_facts(node), ADVICE
    assert results or section(page, "Outputs") == NO_OUTPUT


def test_a_page_is_whole(page: str, node_id: str) -> None:
    assert page.startswith(f"# {DISPLAY_NAMES[node_id]}\n"), "the title on the canvas is the title of the page"
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == SECTIONS
    introduction = page.partition("\n## ")[0]
    assert len(introduction) > 150, "what it does, for somebody who has never seen it"
    for title in ("Example", "Common mistakes"):
        assert len(section(page, title)) > 80, title
    for name, (_, advice) in {**entries(page, "Inputs"), **entries(page, "Outputs")}.items():
        assert advice.endswith("."), f"{name}: what it is for, in a sentence"


def test_a_page_has_a_image(page: str, node_id: str) -> None:
    """The canvas puts docs/ before a relative address, wherever the page itself lies."""
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert f"{node_id}/node.png" in images
    for image in images:
        assert (DOCS / image).is_file(), image


def test_no_page_is_about_a_node_that_does_not_exist() -> None:
    assert {path.name for path in DOCS.iterdir()} <= set(OWN_NODES)


def test_comfyui_is_told_where_the_pages_are() -> None:
    assert (ROOT / upscale8k.WEB_DIRECTORY).is_dir()
    assert DOCS.is_dir()
