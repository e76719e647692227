"""``nodes``, ``convert`` and ``check`` with a pack of another author, which they do not let change the machine."""

import json
from pathlib import Path
from textwrap import dedent

import pytest

from .conftest import Place
from .test_refused_workflows import ui_node, ui_workflow

CLASS = """
    class Blend:
        RETURN_TYPES = ()
        FUNCTION = "run"
        OUTPUT_NODE = True
        CATEGORY = "mine"
        DESCRIPTION = "Blends."

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"strength": ("FLOAT", {"default": 1.0})}}

        def run(self, strength):
            return ()

    NODE_CLASS_MAPPINGS = {"Blend": Blend}
"""


def write_pack(place: Place, begin: str = "") -> Path:
    folder = place.folder / "packs" / "mine"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(dedent(begin) + dedent(CLASS))
    return folder


def test_nodes_lists_those_of_a_pack(place: Place) -> None:
    pack = write_pack(place)
    answer = place("nodes", "--nodes", pack)
    assert (answer.code, answer.err) == (0, "")
    assert "Blend" in answer.out
    listed = json.loads(place("nodes", "--nodes", pack, "--json").out)
    assert listed["Blend"]["input"]["required"]["strength"][0] == "FLOAT"
    assert "Blend" not in place("nodes").out


def test_convert_knows_the_nodes_of_a_pack(place: Place) -> None:
    pack = write_pack(place)
    file = place.save(ui_workflow(ui_node(1, "Blend", 0.25)))
    place.refuses(place("convert", file), "Unknown node class 'Blend'")
    answer = place("convert", file, "--nodes", pack)
    assert json.loads(answer.out)["1"]["inputs"] == {"strength": 0.25}


BAD = {
    "program": "import subprocess\nsubprocess.run(['touch', {mark!r}])\n",
    "system": "import os\nos.system('touch {mark}')\n",
    "network": "import socket\nsocket.create_connection(('127.0.0.1', 9))\n",
    "file": "open({mark!r}, 'w').write('x')\n",
    "folder": "import os\nos.mkdir({mark!r})\n",
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("command", ["check", "nodes", "convert"])
def test_a_pack_cannot_change_the_machine_while_it_is_looked_at(place: Place, kind: str, command: str) -> None:
    mark = str(place.folder / "mark")
    pack = write_pack(place, BAD[kind].format(mark=mark))
    file = place.save({"1": {"class_type": "Blend", "inputs": {"strength": 1.0}}})
    answer = place(command, *([] if command == "nodes" else [file]), "--nodes", pack)
    assert not Path(mark).exists()
    assert answer.code == 2
    assert "The pack mine cannot be loaded: PermissionError: it wants to" in answer.err
    assert "only `run` allows" in answer.err
    assert "Traceback" not in answer.err


def test_a_pack_that_catches_the_refusal_can_be_checked(place: Place) -> None:
    """As packs that try to install something and catch every error; its files land in a HOME of its own."""
    begin = """
        import os, subprocess
        from pathlib import Path
        try:
            subprocess.check_call(["pip", "install", "x"])
        except Exception:
            pass
        (Path.home() / "settings.json").write_text("{}")
        (Path(__file__).parent / "cache.txt").write_text(os.environ["HOME"])
    """
    pack = write_pack(place, begin)
    before = Path.home()
    assert place("check", place.save({"1": {"class_type": "Blend", "inputs": {"strength": 1.0}}}), "--nodes", pack).code == 0
    private = Path((pack / "cache.txt").read_text())
    assert private != before
    assert not private.exists()
    assert Path.home() == before
    # afterwards nothing is forbidden
    (place.folder / "mark").write_text("x")
