"""What ComfyUI shows of a node in another language: ``locales/LANGUAGE/nodeDefs.json``, made from the declarations.

English is complete and says what the node says. The others hold what ``to_review.json`` beside them translates; a text that
changed in English is shown in English until somebody translates it anew.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from upscale8k.nodes import DISPLAY_NAMES, OWN_NODES, get_node_classes
from upscale8k.runtime.host import LocalHost

ROOT = Path(__file__).resolve().parents[2]
LOCALES = ROOT / "locales"
SCRIPTS = sorted((ROOT / "nodes" / "web" / "js").glob("*.js"))
LANGUAGES = ("de", "ja", "zh")
WRITE = "UPSCALE8K_WRITE_LOCALES"
ADVICE = f"Texts of nodes changed. Make the files anew: {WRITE}=1 python -m pytest tests/nodes/test_locales.py"
NOTE = "not yet reviewed by a native speaker"
LEAST_TRANSLATED = 0.85

Definition = dict[str, Any]


def definition(node_id: str, node: Any) -> Definition:
    """What ComfyUI looks up for a node, in English: title, description, inputs by name, outputs by number."""
    declared = node.INPUT_TYPES()
    specs = {name: spec for section in ("required", "optional") for name, spec in declared.get(section, {}).items()}
    names = getattr(node, "RETURN_NAMES", node.RETURN_TYPES)
    outputs = zip(names, getattr(node, "OUTPUT_TOOLTIPS", ("",) * len(names)), strict=True)
    return {
        "display_name": DISPLAY_NAMES[node_id],
        "description": node.DESCRIPTION,
        "inputs": {name: {"name": name, "tooltip": spec[1].get("tooltip", "")} for name, spec in specs.items()},
        "outputs": {str(number): {"name": name, "tooltip": tip} for number, (name, tip) in enumerate(outputs)},
    }


def translated(value: Any, by: dict[str, str]) -> Any:
    """The same with every text that ``by`` knows, and without the others, for which ComfyUI then shows English."""
    if isinstance(value, str):
        return by.get(value)
    kept = {key: found for key, each in value.items() if (found := translated(each, by))}
    return kept or None


def escaped(value: Any) -> Any:
    """vue-i18n reads ``@``, braces and bars as commands; in this form it shows them."""
    if isinstance(value, str):
        return re.sub(r"[@{}|]", lambda found: "{'" + found[0] + "'}", value)
    return {key: escaped(each) for key, each in value.items()}


def texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [text for each in value.values() for text in texts(each)]


def read(language: str, name: str = "nodeDefs.json") -> dict[str, Any]:
    return json.loads((LOCALES / language / name).read_text(encoding="utf-8"))


@pytest.fixture
def english(host: LocalHost) -> dict[str, Definition]:
    return {node_id: definition(node_id, get_node_classes(host)[node_id]) for node_id in OWN_NODES}


def made(language: str, english: dict[str, Definition]) -> dict[str, Any]:
    whole = english if language == "en" else translated(english, read(language, "to_review.json"))
    return escaped(whole)


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_a_file_says_what_the_nodes_say(language: str, english: dict[str, Definition]) -> None:
    wanted = made(language, english)
    file = LOCALES / language / "nodeDefs.json"
    if os.environ.get(WRITE) == "1":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(wanted, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    assert read(language) == wanted, ADVICE


def said_by_scripts() -> dict[str, str]:
    """Every text that our scripts on the canvas give to say(), as itself."""
    found = [text for file in SCRIPTS for text in re.findall(r"\bsay\(\s*'([^']+)'", file.read_text(encoding="utf-8"))]
    return {text: text for text in sorted(found)}


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_a_file_says_what_the_scripts_say(language: str) -> None:
    """``main.json``, which the scripts read themselves; braces in it are theirs."""
    texts = said_by_scripts()
    assert len(texts) > 20
    wanted = {"upscale8k": texts if language == "en" else translated(texts, read(language, "to_review.json"))}
    file = LOCALES / language / "main.json"
    if os.environ.get(WRITE) == "1":
        file.write_text(json.dumps(wanted, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    assert read(language, "main.json") == wanted, ADVICE
    assert list(wanted["upscale8k"]) == list(texts), f"to_review.json in {language} lacks texts of the scripts"


def test_scripts_say_only_what_can_be_found() -> None:
    """A text that is put together, or quoted otherwise, would stay English."""
    for file in SCRIPTS:
        calls = re.findall(r"(?<!function )\bsay\(\s*(.)", file.read_text(encoding="utf-8"))
        assert set(calls) <= {"'"}, file.name


@pytest.mark.parametrize("language", LANGUAGES)
def test_titles_and_names_are_translated_and_most_tooltips(language: str, english: dict[str, Definition]) -> None:
    """A translator needs some days; a title without translation would stand among the others from the first."""
    known = read(language, "to_review.json")
    for node_id, told in english.items():
        assert told["display_name"] in known, f"{node_id} has no title in {language}"
    wanted = {text for told in english.values() for part in ("inputs", "outputs") for text in texts(told[part]) if text}
    missing = sorted(wanted - set(known))
    assert len(missing) <= (1 - LEAST_TRANSLATED) * len(wanted), f"to_review.json in {language} lacks {missing}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_are_marked_as_not_reviewed_and_keep_what_is_no_language(language: str) -> None:
    known = read(language, "to_review.json")
    assert NOTE in known.pop("")
    for text, other in known.items():
        assert other.strip(), text
        for word in re.findall(r"%\w+%|%0\dd|\.\w{3}\b|_00001_|`[^`]+`|\{\w+\}", text):
            assert word in other, f"{word} is missing in: {other}"


@pytest.mark.parametrize("language", ["en", *LANGUAGES])
def test_every_file_is_one_that_comfyui_reads(language: str) -> None:
    """ComfyUI reads these names only, and a file that is no JSON is dropped with an error in its log."""
    names = {path.name for path in (LOCALES / language).iterdir()} - {"to_review.json"}
    assert names <= {"main.json", "nodeDefs.json", "commands.json", "settings.json"}


def test_there_is_no_language_without_a_test() -> None:
    assert {path.name for path in LOCALES.iterdir() if path.is_dir()} == {"en", *LANGUAGES}
