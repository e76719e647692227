"""Packs as people write them: V1 and V3, broken ones, and what of them can run."""

import sys
from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.comfyui.custom_nodes.pack_loader import NodePack, load_node_pack
from upscale8k.runtime.comfyui.custom_nodes.stub_modules import install_stubs
from upscale8k.runtime.errors import HardwareMissing, NodeError, WorkflowError
from upscale8k.runtime.graph.check import check_prompt
from upscale8k.runtime.graph.execute.events import NodeFinished
from upscale8k.runtime.graph.execute.executor import execute_plan
from upscale8k.runtime.graph.execute.plan import make_plan
from upscale8k.runtime.host import LocalHost

from .conftest import WritePack

V1 = """
    from .adding import Add
    NODE_CLASS_MAPPINGS = {"Add": Add, "SaveImage": Add}
    NODE_DISPLAY_NAME_MAPPINGS = {"Add": "Add a number", "SaveImage": "Mine now"}
"""
ADDING = """
    import folder_paths
    from comfy.utils import ProgressBar
    from server import PromptServer

    @PromptServer.instance.routes.get("/adding")
    async def route(request):
        return None

    class Add:
        RETURN_TYPES = ("INT",)
        FUNCTION = "add"
        OUTPUT_NODE = True

        @classmethod
        def INPUT_TYPES(cls):
            return {"required": {"a": ("INT",), "b": ("INT", {"default": 1})}}

        def add(self, a, b):
            from .constants import NOTHING
            ProgressBar(2).update(1)
            return {"ui": {"sum": [a + b + NOTHING], "folder": [folder_paths.get_output_directory()]}, "result": (a + b,)}
"""
V3 = """
    import asyncio
    from comfy_api.latest import ComfyExtension, io

    class Repeat(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(
                node_id="Repeat", display_name="Repeat a text", category="text", is_output_node=True,
                inputs=[
                    io.String.Input("text", default="x", multiline=True),
                    io.Combo.Input("mode", options=["once", "often"]),
                    io.DynamicCombo.Input("how", options=[
                        io.DynamicCombo.Option("plain", []),
                        io.DynamicCombo.Option("count", [io.Int.Input("times", default=2, min=1, max=9)]),
                    ]),
                    io.Autogrow.Input("more", io.Autogrow.TemplatePrefix(io.String.Input("word"), "word", min=0, max=3)),
                    io.Int.Input("unused", optional=True),
                ],
                outputs=[io.String.Output("repeated", display_name="REPEATED")],
                hidden=[io.Hidden.unique_id],
            )

        @classmethod
        def validate_inputs(cls, text):
            return "Not that word." if text == "bad" else True

        @classmethod
        async def execute(cls, text, mode, how, more, unused=None):
            await asyncio.sleep(0)
            words = [text] * how.get("times", 1) + list(more.values())
            return io.NodeOutput(" ".join(words), ui={"text": [" ".join(words), cls.hidden.unique_id, how["how"]]})

    class Blocking(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Blocking", inputs=[io.AnyType.Input("value")], outputs=[io.AnyType.Output()])

        @classmethod
        def execute(cls, value):
            return io.NodeOutput(block_execution="stop") if value else io.NodeOutput(value)

    class NeedsMore(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("NeedsMore", inputs=[io.NotThereYet.Input("tracks")])

    class Extension(ComfyExtension):
        async def get_node_list(self):
            return [Repeat, Blocking, NeedsMore]

    async def comfy_entrypoint():
        return Extension()
"""


def ui_of(pack: NodePack, prompt: dict[str, Any], host: LocalHost) -> dict[str, Any]:
    with install_stubs(host):
        checked = check_prompt(prompt, pack.nodes)
        assert checked.problems == []
        events = list(execute_plan(make_plan(checked.prompt, pack.nodes), pack.nodes))
    return {event.node_id: event.ui for event in events if isinstance(event, NodeFinished)}


def test_a_v1_pack_loads_by_its_path_and_runs(write_pack: WritePack, host: LocalHost) -> None:
    folder = write_pack(V1, **{"adding.py": ADDING, "constants.py": "NOTHING = 0"})
    before = list(sys.path)
    pack = load_node_pack(folder, host, {"SaveImage": object})
    assert (pack.name, pack.titles, pack.rejected_ids, pack.unusable_nodes) == (
        folder.name,
        {"Add": "Add a number"},
        ("SaveImage",),
        {},
    )
    assert pack.nodes["Add"].__module__ == str(folder).replace(".", "_x_") + ".adding"
    assert sys.path == before
    ui = ui_of(pack, {"1": {"class_type": "Add", "inputs": {"a": 2, "b": 3}}}, host)
    assert ui == {"1": {"sum": [5], "folder": [str(host.output_dir)]}}


def test_a_v3_pack_answers_in_the_v1_contract(write_pack: WritePack, host: LocalHost) -> None:
    pack = load_node_pack(write_pack(V3), host)
    assert sorted(pack.nodes) == ["Blocking", "Repeat"]
    assert pack.titles["Repeat"] == "Repeat a text"
    assert "comfy_api.latest.io.NotThereYet" in pack.unusable_nodes["NeedsMore"]
    repeat: Any = pack.nodes["Repeat"]
    assert (repeat.RETURN_TYPES, repeat.RETURN_NAMES, repeat.OUTPUT_NODE) == (("STRING",), ("REPEATED",), True)
    required = repeat.INPUT_TYPES()["required"]
    assert required["text"] == ("STRING", {"default": "x", "multiline": True})
    assert required["mode"] == ("COMBO", {"options": ["once", "often"]})
    assert repeat.INPUT_TYPES()["optional"] == {"unused": ("INT", {})}
    assert repeat.INPUT_TYPES()["hidden"] == {
        "unique_id": "UNIQUE_ID",
        "prompt": "PROMPT",
        "extra_pnginfo": "EXTRA_PNGINFO",
    }
    inputs = {"text": "a", "mode": "once", "how": "count", "how.times": 3, "more.word0": "b", "more.word1": "c"}
    assert ui_of(pack, {"7": {"class_type": "Repeat", "inputs": inputs}}, host) == {"7": {"text": ["a a a b c", "7", "count"]}}


def test_a_v3_nodes_own_check_is_asked(write_pack: WritePack, host: LocalHost) -> None:
    pack = load_node_pack(write_pack(V3), host)
    prompt = {"7": {"class_type": "Repeat", "inputs": {"text": "bad", "mode": "once", "how": "plain"}}}
    assert [problem.what for problem in check_prompt(prompt, pack.nodes).problems] == ["Not that word."]


def test_a_v3_node_blocks_what_depends_on_it(write_pack: WritePack, host: LocalHost) -> None:
    pack = load_node_pack(write_pack(V3), host)
    inputs = {"text": ["1", 0], "mode": "once", "how": "plain"}
    prompt = {
        "1": {"class_type": "Blocking", "inputs": {"value": {"__value__": [1]}}},
        "7": {"class_type": "Repeat", "inputs": inputs},
    }
    assert ui_of(pack, prompt, host)["7"] == {}


def test_one_file_is_a_pack(write_pack: WritePack, host: LocalHost) -> None:
    folder = write_pack(
        "",
        **{
            "alone.py": ADDING.replace("from .constants import NOTHING", "NOTHING = 0")
            + "\n    NODE_CLASS_MAPPINGS = {'Add': Add}"
        },
    )
    assert list(load_node_pack(folder / "alone.py", host).nodes) == ["Add"]


@pytest.mark.parametrize(
    ("init", "says"),
    [
        ("import surely_not_installed", "needs the Python package surely_not_installed.*requirements.txt"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit('no GPU')", "no GPU"),
        ("x = 1", "neither NODE_CLASS_MAPPINGS nor comfy_entrypoint"),
        ("NODE_CLASS_MAPPINGS = 5", "TypeError"),
        ("import comfy.sd\nmodel = comfy.sd.load_checkpoint('x')", "comfy.sd.load_checkpoint is a part of ComfyUI"),
    ],
)
def test_a_pack_that_cannot_be_loaded_is_named(write_pack: WritePack, host: LocalHost, init: str, says: str) -> None:
    folder = write_pack(init)
    with pytest.raises(WorkflowError, match=rf"The pack comfyui-some.pack cannot be loaded: (?s:.*){says}"):
        load_node_pack(folder, host)
    assert not [name for name in sys.modules if name.startswith(str(folder).replace(".", "_x_"))]


def test_a_folder_without_a_pack_is_refused(tmp_path: Path, host: LocalHost) -> None:
    with pytest.raises(WorkflowError, match=r"is not a ComfyUI pack: .*__init__.py does not exist"):
        load_node_pack(tmp_path / "nothing", host)


def test_one_broken_node_does_not_cost_the_others(write_pack: WritePack, host: LocalHost) -> None:
    init = (
        V1
        + """
    import comfy.samplers
    from nodes import LoraLoader, SaveImage
    class NoInputs:
        FUNCTION = "f"
    class Derived(LoraLoader):
        RETURN_TYPES = (*LoraLoader.RETURN_TYPES, "STRING")
        FUNCTION = "f"
        INPUT_TYPES = classmethod(lambda cls: {"required": {"sampler": (comfy.samplers.KSampler.SAMPLERS,)}})
        def f(self, sampler): return ()
    class NoFunction(Add):
        FUNCTION = "missing"
    NODE_CLASS_MAPPINGS |= {"NoInputs": NoInputs, "Derived": Derived, "NoFunction": NoFunction}
    """
    )
    pack = load_node_pack(write_pack(init, **{"adding.py": ADDING}), host, {"SaveImage": object})
    assert sorted(pack.unusable_nodes) == ["NoFunction", "NoInputs"]
    assert sorted(pack.nodes) == ["Add", "Derived"]
    with pytest.raises(HardwareMissing, match=r"nodes\.LoraLoader is a part of ComfyUI"):
        pack.nodes["Derived"]()


def test_a_pack_may_look_into_absent_nodes_while_it_is_imported(write_pack: WritePack, host: LocalHost) -> None:
    init = (
        V1
        + """
    import nodes
    METHODS = ["none"] + nodes.LatentUpscaleBy.INPUT_TYPES()["required"]["upscale_method"][0]
    if not hasattr(nodes, "FormatsOfThisPack"):
        nodes.FormatsOfThisPack = {"any": 1}
    class Offers(Add):
        INPUT_TYPES = classmethod(lambda cls: {"required": {"how": (METHODS + list(nodes.FormatsOfThisPack),)}})
    class Late(Add):
        INPUT_TYPES = classmethod(lambda cls: nodes.LatentUpscaleBy.INPUT_TYPES())
    NODE_CLASS_MAPPINGS |= {"Offers": Offers, "Late": Late}
    """
    )
    pack = load_node_pack(write_pack(init, **{"adding.py": ADDING}), host)
    offers: Any = pack.nodes["Offers"]
    assert offers.INPUT_TYPES() == {"required": {"how": (["none", "any"],)}}
    assert list(pack.unusable_nodes) == ["Late"]
    assert pack.unusable_nodes["Late"].startswith("nodes.LatentUpscaleBy.INPUT_TYPES is a part of ComfyUI")


def test_a_dynamic_slot_brings_its_inputs_along(write_pack: WritePack, host: LocalHost) -> None:
    init = """
    from comfy_api.latest import ComfyExtension, io

    class Slots(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            slot = io.DynamicSlot.Input(io.String.Input("text"), [io.Int.Input("times", default=2)])
            return io.Schema("Slots", is_output_node=True, inputs=[slot])

        @classmethod
        def execute(cls, text=None):
            return io.NodeOutput(ui={"got": [text]})

    class Extension(ComfyExtension):
        async def get_node_list(self):
            return [Slots]

    async def comfy_entrypoint():
        return Extension()
    """
    pack = load_node_pack(write_pack(init), host)
    inputs = {"text": "a", "text.times": 3}
    assert ui_of(pack, {"7": {"class_type": "Slots", "inputs": inputs}}, host)["7"] == {"got": [{"text": "a", "times": 3}]}
    assert ui_of(pack, {"7": {"class_type": "Slots", "inputs": {}}}, host)["7"] == {"got": [None]}


def test_an_absent_part_says_so_when_a_node_uses_it(write_pack: WritePack, host: LocalHost) -> None:
    init = """
    import comfy.model_patcher, latent_preview
    import comfy_extras.nodes_mask as masks

    class Uses:
        RETURN_TYPES = ()
        FUNCTION = "run"
        OUTPUT_NODE = True
        INPUT_TYPES = classmethod(lambda cls: {"required": {"what": ("STRING",)}})

        def run(self, what):
            if what == "call":
                masks.GrowMask().expand_mask()
            for name in comfy.model_patcher.NAMES:
                pass
    NODE_CLASS_MAPPINGS = {"Uses": Uses}
    """
    pack = load_node_pack(write_pack(init), host)
    for what, name in {"call": "comfy_extras.nodes_mask.GrowMask", "list": "comfy.model_patcher.NAMES"}.items():
        prompt = {"4": {"class_type": "Uses", "inputs": {"what": what}}}
        with install_stubs(host), pytest.raises(HardwareMissing, match=rf"node 4 \(Uses\): {name} is a part of ComfyUI"):
            list(execute_plan(make_plan(prompt, pack.nodes), pack.nodes))


def test_a_bare_tensor_from_a_v3_node_is_a_fault_of_the_node(write_pack: WritePack, host: LocalHost) -> None:
    init = V3.replace('return io.NodeOutput(block_execution="stop") if value else io.NodeOutput(value)', "return 5").replace(
        '"Blocking", ', '"Blocking", is_output_node=True, '
    )
    pack = load_node_pack(write_pack(init), host)
    prompt = {"1": {"class_type": "Blocking", "inputs": {"value": 1}}}
    with install_stubs(host), pytest.raises(NodeError, match="returned int instead of a NodeOutput"):
        list(execute_plan(make_plan(prompt, pack.nodes), pack.nodes))
