"""The light nodes of shared workflows: declared as in ComfyUI, and with its results, pixel for pixel."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from upscale8k.nodes import DISPLAY_NAMES
from upscale8k.nodes.builtin import masks, workflow_tools
from upscale8k.nodes.declare import list_nodes
from upscale8k.runtime.comfyui.builtin import glsl
from upscale8k.runtime.errors import NodeError
from upscale8k.runtime.graph.definitions import describe_classes

from ...comfyui.peer.tree import declarations, require_tree
from .core_peer import Case, call, differences, run_core, same

CATALOG = list_nodes(workflow_tools, masks)


def images(count: int, height: int, width: int, channels: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.rand((count, height, width, channels), generator=torch.Generator().manual_seed(seed))


def stitch(direction: str, match: bool, gap: int, color: str, first: Any, second: Any) -> Case:
    values = {"direction": direction, "match_image_size": match, "spacing_width": gap, "spacing_color": color}
    return ("ImageStitch", {"image1": first, "image2": second, **values})


def find(pattern: str, mode: str, group: int = 1, **flags: bool) -> Case:
    text = "Size 12x34, size 5x6\nSIZE 7x8"
    flags = {"case_insensitive": True, "multiline": False, "dotall": False} | flags
    return ("RegexExtract", {"string": text, "regex_pattern": pattern, "mode": mode, "group_index": group, **flags})


def draw_mask(operation: str, x: int, y: int) -> Case:
    return ("MaskComposite", {"destination": LARGE[..., 0], "source": SMALL[..., 0], "x": x, "y": y, "operation": operation})


def place(x: int, y: int, *, resize: bool = False, **more: Any) -> Case:
    values = {"destination": LARGE, "source": SMALL, "x": x, "y": y, "resize_source": resize}
    return ("ImageCompositeMasked", values | more)


def sound(count: int, rate: int, level: float = 0.6) -> dict[str, Any]:
    return {"waveform": images(1, 2, count)[..., 0] * level, "sample_rate": rate}


SMALL, LARGE, CLEAR = images(1, 20, 30), images(3, 31, 24, seed=2), images(2, 20, 30, 4, seed=3)
MODES = ["First Match", "All Matches", "First Group", "All Groups"]
CASES: list[Case] = [
    *(stitch(direction, True, 0, "white", SMALL, LARGE) for direction in ("right", "down", "left", "up")),
    *(stitch("right", False, 7, color, SMALL, LARGE) for color in ("white", "black", "red", "green", "blue")),
    *(stitch(direction, False, 4, "blue", SMALL, LARGE) for direction in ("down", "left", "up")),
    stitch("right", True, 2, "green", CLEAR, LARGE),
    ("ImageCropV2", {"image": LARGE, "crop_region": {"x": 3, "y": 5, "width": 10, "height": 12}}),
    ("ImageCropV2", {"image": LARGE, "crop_region": {"x": 900, "y": 5, "width": 10, "height": 1200}}),
    ("PrimitiveBoundingBox", {"x": 1, "y": 2, "width": 3, "height": 4}),
    *(find(r"size (\d+)x(\d+)", mode, group) for mode in MODES for group in (0, 1, 2, 3)),
    *(find(pattern, mode) for mode in MODES for pattern in (r"\d+", "none", "(")),
    find(r"^size.*$", "All Matches", multiline=True),
    find(r"size.*", "First Match", dotall=True, case_insensitive=False),
    ("ColorToRGBInt", {"color": "#12aBfF"}),
    ("ColorToRGBInt", {"color": "#12abff80"}),
    ("MaskToImage", {"mask": LARGE[..., 0]}),
    *(("ImageToMask", {"image": CLEAR, "channel": channel}) for channel in ("red", "alpha")),
    ("ImageColorToMask", {"image": (LARGE * 2).round() / 2, "color": 0x80FF00}),
    ("SolidMask", {"value": 0.3, "width": 5, "height": 3}),
    ("InvertMask", {"mask": LARGE[..., 1]}),
    ("CropMask", {"mask": LARGE[..., 1], "x": 3, "y": 4, "width": 10, "height": 900}),
    *(draw_mask(operation, 3, 19) for operation in ("multiply", "add", "subtract", "and", "or", "xor")),
    *(("FeatherMask", {"mask": LARGE[..., 0], "left": 3, "top": 0, "right": 90, "bottom": 5}) for _ in range(1)),
    *(
        ("GrowMask", {"mask": LARGE[..., 0], "expand": n, "tapered_corners": soft})
        for n in (3, -2, 0)
        for soft in (True, False)
    ),
    ("ThresholdMask", {"mask": LARGE[..., 0], "value": 0.7}),
    *(place(x, 11) for x in (0, 7, 24)),
    place(4, 5, mask=LARGE[:1, ..., 2]),
    place(0, 0, resize=True, mask=LARGE[..., 2]),
    place(2, 3, source=CLEAR),
    place(2, 3, destination=CLEAR, source=SMALL),
    *(
        (
            "ResizeAndPadImage",
            {"image": image, "target_width": 41, "target_height": 23, "padding_color": color, "interpolation": way},
        )
        for image, color, way in ((LARGE, "white", "lanczos"), (SMALL, "black", "bicubic"), (CLEAR, "white", "area"))
    ),
    ("ImageHistogram", {"image": LARGE}),
    ("EmptyAudio", {"duration": 0.1, "sample_rate": 8000, "channels": 1}),
    *(
        ("AudioMerge", {"audio1": sound(70, 8000), "audio2": sound(count, rate, 0.9), "merge_method": method})
        for method, count, rate in (("add", 60, 8000), ("subtract", 80, 8000), ("multiply", 70, 8000), ("mean", 90, 12000))
    ),
    *(("ComfyNumberConvert", {"value": value}) for value in (3, -2.75, " 12 ", "1e3", "2.5", True, "123456789012345678901")),
]


@pytest.mark.parametrize("node_id", CATALOG)
def test_it_is_declared_as_in_comfyui(node_id: str) -> None:
    assert differences(describe_classes(CATALOG, DISPLAY_NAMES)[node_id], declarations()[node_id]) == set()


@pytest.mark.comfyui
def test_every_result_is_cores(tmp_path: Path) -> None:
    for (name, inputs), core in zip(CASES, run_core(CASES, tmp_path), strict=True):
        assert "error" not in core, (name, core)
        ours = list(call(CATALOG[name], inputs))
        if name == "AudioMerge":  # resampled in another order of additions
            assert ours[0]["sample_rate"] == core["result"][0]["sample_rate"]
            torch.testing.assert_close(ours[0]["waveform"], core["result"][0]["waveform"], atol=1e-5, rtol=0)
        else:
            assert same(ours, core["result"]), (name, inputs)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("a + b * 2", 11),
        ("max(values) ** 2 // 3", 5),
        ("ceil(a / b) if a > b else floor(a / b)", 0),
        ("sum(values) % 3 == 1 and not a > b", 1),
        ("a < b < 5", True),
        ("0 or -a", -3),
        ("values[1] - round(2.5)", 2),
        ("pow(b, 0.5)", 2.0),
        ("(a & ~1) + (b | 3) + (a ^ b) + (b >> 1)", 18),
    ],
)
def test_an_expression_is_calculated(expression: str, expected: float) -> None:
    inputs = {"expression": expression, "values.a": 3, "values.b": 4}
    assert call(CATALOG["ComfyMathExpression"], inputs) == (float(expected), int(expected), bool(expected))


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "c",
        "a.__class__",
        "__import__('os')",
        "[x for x in values]",
        "9**9**9",
        "pow(2, 5000)",
        "((9**4000)**4000)**4000",
        "1/0",
        "'a'",
        "sqrt(0 - 1)",
    ],
)
def test_what_is_no_calculation_is_a_sentence(expression: str) -> None:
    with pytest.raises(NodeError, match="cannot be calculated"):
        call(CATALOG["ComfyMathExpression"], {"expression": expression, "values.a": 3})


def test_numbers_and_colors_that_are_none_are_refused() -> None:
    for value in ("", "many", "nan", "inf"):
        with pytest.raises(NodeError, match="not a finite number"):
            call(CATALOG["ComfyNumberConvert"], {"value": value})
    with pytest.raises(NodeError, match="not a color"):
        call(CATALOG["ColorToRGBInt"], {"color": "red"})


# ---------------------------------------------------------------- shaders

HEAD = """#version 300 es
precision highp float;
uniform sampler2D u_image0;
uniform sampler2D u_image1;
uniform vec2 u_resolution;
uniform float u_float0;
uniform int u_int0;
uniform bool u_bool0;
uniform int u_pass;
in vec2 v_texCoord;
layout(location = 0) out vec4 fragColor0;
"""


@pytest.fixture
def shade() -> Any:
    """Runs the body of a shader; skipped where the machine has no OpenGL ES 3."""

    def run(body: str, *pictures: torch.Tensor, head: str = HEAD, **more: Any) -> Any:
        linked = {f"images.image{number}": picture for number, picture in enumerate(pictures)}
        inputs = {"fragment_shader": head + body, "size_mode": "from_input", **linked, **more}
        return call(CATALOG["GLSLShader"], inputs)

    try:
        run("void main() { fragColor0 = vec4(1.0); }", SMALL)
    except NodeError as error:
        pytest.skip(str(error))
    return run


def test_a_shader_reads_images_and_values(shade: Any) -> None:
    body = "void main() { vec4 c = texture(u_image0, v_texCoord); fragColor0 = vec4(c.rgb * u_float0 + float(u_int0), "
    body += "u_bool0 ? 0.25 : 1.0) + 0.0 * texture(u_image1, v_texCoord); }"
    more = {"floats.u_float0": 0.5, "ints.u_int0": 2, "bools.u_bool0": True}
    first, *others = shade(body, LARGE, SMALL, **more)
    expected = torch.cat([LARGE * 0.5 + 2, torch.full((3, 31, 24, 1), 0.25)], -1)
    assert torch.allclose(first, expected, atol=4e-3)  # drivers weigh the neighbors of a pixel with 8 bits
    assert all(torch.equal(other, torch.zeros(3, 31, 24, 4)) for other in others)


def test_a_shader_writes_several_outputs_in_another_size(shade: Any) -> None:
    head = HEAD + "layout(location = 1) out vec4 fragColor1;\n"
    body = "void main() { fragColor0 = vec4(v_texCoord, u_resolution); fragColor1 = vec4(gl_FragCoord.xy, 0.0, 1.0); }"
    more = {"size_mode": "custom", "size_mode.width": 5, "size_mode.height": 3}
    places, pixels, *_ = shade(body, SMALL, head=head, **more)
    assert places.shape == (1, 3, 5, 4)
    # the first row is the top one, where v_texCoord.y is near 1
    np.testing.assert_allclose(places[0, :, 0, 1], [5 / 6, 3 / 6, 1 / 6], atol=1e-6)
    np.testing.assert_allclose(places[0, 0, :, 0], (np.arange(5) + 0.5) / 5, atol=1e-6)
    np.testing.assert_allclose(pixels[0, :, 0, 1], [2.5, 1.5, 0.5])


def test_each_pass_reads_the_one_before(shade: Any) -> None:
    body = "#pragma passes 3\nvoid main() { fragColor0 = texture(u_image0, v_texCoord) * 0.5 + float(u_pass); }"
    (first, *_) = shade(body, SMALL)
    assert torch.allclose(first[..., :3], ((SMALL * 0.5) * 0.5 + 1) * 0.5 + 2, atol=4e-3)


def test_a_shader_that_does_not_compile_is_a_sentence(shade: Any) -> None:
    with pytest.raises(NodeError, match="does not compile"):
        shade("void main() { fragColor0 = unknown; }", SMALL)


def test_without_opengl_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glsl.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(NodeError, match="library EGL") as caught:
        call(CATALOG["GLSLShader"], {"size_mode": "from_input", "images.image0": SMALL})
    assert "libegl1" in caught.value.hint


def read_shaders() -> dict[str, str]:
    """The shaders of ComfyUI's own blueprints by file."""
    found = {}
    for path in sorted((require_tree() / "blueprints").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for graph in content.get("definitions", {}).get("subgraphs", []):
            for node in graph["nodes"]:
                if node["type"] == "GLSLShader":
                    found[f"{path.stem} {node['id']}"] = node["widgets_values"][0]
    return found


@pytest.mark.slow
@pytest.mark.comfyui
def test_the_shaders_of_comfyuis_blueprints_give_its_pixels(shade: Any, tmp_path: Path) -> None:
    cases: list[Case] = []
    for source in read_shaders().values():
        floats = {f"floats.u_float{n}": 0.25 for n in range(len(set(re.findall(r"u_float\d+", source))))}
        ints = {f"ints.u_int{n}": 1 for n in range(len(set(re.findall(r"u_int\d+", source))))}
        pictures = {f"images.image{n}": images(1, 24, 32, seed=n) for n in range(len(set(re.findall(r"u_image\d", source))))}
        cases.append(("GLSLShader", {"fragment_shader": source, "size_mode": "from_input", **pictures, **floats, **ints}))
    assert len(cases) > 12
    for name, (_, inputs), core in zip(read_shaders(), cases, run_core(cases, tmp_path), strict=True):
        if "error" in core:
            pytest.skip(f"ComfyUI itself has no OpenGL here: {core['error']}")
        for ours, theirs in zip(call(CATALOG["GLSLShader"], inputs), core["result"], strict=True):
            # sin() of large numbers, with which grain is made, differs between drivers
            limit = 0.5 if "Grain" in name else 0.01
            assert (ours - theirs).abs().mean() < limit, name


def test_triton_can_be_loaded_after_a_shader(root: Path) -> None:
    pytest.importorskip("triton", reason="torch has no Triton on this platform")
    code = """
from runtime.bootstrap import load_pack
load_pack()
from contextlib import suppress
from upscale8k.runtime.comfyui.builtin import glsl
from upscale8k.runtime.errors import NodeError
import torch
with suppress(NodeError):  # where there is no EGL there is nothing to show
    with glsl._open_context():
        pass
import torch._dynamo
print("loaded")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stdout.split()[-1:]) == (0, ["loaded"]), done.stderr
