"""Small workflows as the canvas saves them, and a few node classes to describe them with."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

IMAGE, MASK, MODEL = "IMAGE", "MASK", "UPSCALE_MODEL"


def entry(
    required: Mapping[str, Any], output: list[str], optional: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """An /object_info entry with what the converter reads."""
    groups = {"required": dict(required)} | ({"optional": dict(optional)} if optional else {})
    return {"input": groups, "input_order": {key: list(group) for key, group in groups.items()}, "output": output, **more}


@pytest.fixture
def definitions() -> dict[str, dict[str, Any]]:
    """Input declarations as ComfyUI 0.30's /object_info has them, shortened."""
    codec = {
        "options": [
            {"key": "auto", "inputs": {"required": {}}},
            {
                "key": "h264",
                "inputs": {
                    "required": {},
                    "optional": {
                        "encoding": [
                            "COMFY_DYNAMICCOMBO_V3",
                            {
                                "options": [
                                    {"key": "auto", "inputs": {"required": {}}},
                                    {"key": "re-encode", "inputs": {"required": {"crf": ["FLOAT", {"default": 23.0}]}}},
                                ]
                            },
                        ]
                    },
                },
            },
        ]
    }
    sampler = {
        "model": ["MODEL"],
        "seed": ["INT", {"default": 0, "control_after_generate": True}],
        "steps": ["INT", {"default": 20}],
        "sampler_name": [["euler", "heun"], {}],
    }
    grown = {"template": {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 1, "max": 50}}
    return {
        "LoadImage": entry({"image": [["a.png", "b.png"], {"image_upload": True}]}, [IMAGE, MASK]),
        "SaveImage": entry({"images": [IMAGE], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}, [], output_node=True),
        "ImageInvert": entry({"image": [IMAGE]}, [IMAGE]),
        "ImageBlend": entry({"image1": [IMAGE], "image2": [IMAGE], "factor": ["FLOAT", {"default": 0.5}]}, [IMAGE]),
        "ImageToMask": entry({"image": [IMAGE], "channel": [["red", "green"]]}, [MASK]),
        "UpscaleModelLoader": entry({"model_name": [["x2.pth", "x4.pth"]]}, [MODEL]),
        "ImageUpscaleWithModel": entry({"upscale_model": [MODEL], "image": [IMAGE]}, [IMAGE]),
        "ImageScaleBy": entry({"image": [IMAGE], "scale_by": ["FLOAT", {"default": 1.0}], "crop": [["no", "yes"]]}, [IMAGE]),
        "KSampler": entry(sampler, ["LATENT"]),
        "RandomNoise": entry({"noise_seed": ["INT", {"default": 0}]}, ["NOISE"]),
        "PrimitiveInt": entry({"value": ["INT", {"control_after_generate": "fixed"}]}, ["INT"]),
        "SaveVideo": entry(
            {
                "video": ["VIDEO"],
                "filename_prefix": ["STRING", {"default": "video/ComfyUI"}],
                "format": ["COMBO", {"options": ["auto", "mp4"], "default": "auto"}],
                "codec": ["COMFY_DYNAMICCOMBO_V3", codec],
            },
            ["VIDEO"],
            output_node=True,
        ),
        "BatchImagesNode": entry({"images": ["COMFY_AUTOGROW_V3", grown]}, [IMAGE]),
        "ImageCompare": entry(
            {"compare_view": ["IMAGECOMPARE", {"socketless": True}]}, [], {"image_a": [IMAGE]}, output_node=True
        ),
        "CustomCombo": entry({"choice": ["COMBO", {"options": []}]}, ["STRING", "INT"]),
        "CLIPTextEncode": entry({"text": ["STRING", {"dynamicPrompts": True}], "clip": ["CLIP"]}, ["CONDITIONING"]),
        "OldNode": entry(
            {"a": ["INT", {"forceInput": True}], "b": ["INT", {"default": 1}], "c": ["STRING", {"default": ""}]}, ["INT"]
        ),
        "Curve": entry({"curve": ["CURVE", {"default": []}], "many": [["x", "y"], {"multiselect": True}]}, ["INT"]),
    }


class Drawing:
    """Draws a graph; nodes know their links as in a saved file, ``target_slot`` is left wrong on purpose."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []
        self.subgraphs: list[dict[str, Any]] = []

    def node(
        self, node_id: int | str, kind: str, values: Any = None, *, mode: int = 0, outputs: list[str] | None = None, **more: Any
    ) -> None:
        """``more`` may hold title and properties."""
        node = {
            "id": node_id,
            "type": kind,
            "mode": mode,
            "inputs": [],
            "outputs": [{"name": t, "type": t} for t in outputs or []],
            **more,
        }
        self.nodes.append(node | ({} if values is None else {"widgets_values": values}))

    def socket(
        self, node_id: int | str, name: str, kind: str = IMAGE, *, widget: bool = False, link: int | None = None
    ) -> None:
        node = next(node for node in self.nodes if node["id"] == node_id)
        node["inputs"].append({"name": name, "type": kind, "link": link} | ({"widget": {"name": name}} if widget else {}))

    def link(
        self, origin: int | str, slot: int, target: int | str, name: str = "", kind: str = IMAGE, *, widget: bool = False
    ) -> int:
        """Link an output to a named input; ``name`` stays empty for the output side of a subgraph (-20)."""
        link_id = len(self.links) + 1
        self.links.append([link_id, origin, slot, target, 99, kind])
        if target != -20:
            self.socket(target, name, kind, widget=widget, link=link_id)
        return link_id

    def ui(self) -> dict[str, Any]:
        return {"version": 0.4, "nodes": self.nodes, "links": self.links, "definitions": {"subgraphs": self.subgraphs}}

    def as_subgraph(
        self, graph_id: str, inputs: list[tuple[str, str, list[int]]], outputs: list[tuple[str, str, list[int]]]
    ) -> dict[str, Any]:
        """This drawing as a definition; the ports are (name, type, link ids)."""
        keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        links = [dict(zip(keys, link, strict=True)) for link in self.links]
        for slot, (_, _, link_ids) in enumerate(outputs):
            for link in links:
                link["target_slot"] = slot if link["id"] in link_ids else link["target_slot"]
        ports = [[{"name": name, "type": kind, "linkIds": ids} for name, kind, ids in side] for side in (inputs, outputs)]
        return {
            "id": graph_id,
            "name": graph_id,
            "version": 1,
            "nodes": self.nodes,
            "links": links,
            "inputs": ports[0],
            "outputs": ports[1],
        }


@pytest.fixture
def draw() -> Callable[[], Drawing]:
    return Drawing
