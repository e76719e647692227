"""ComfyUI's built-in nodes with a network of their own, for the headless runner only: frame interpolation and depth."""

from typing import Any, ClassVar

from ...runtime import comfyui
from ...runtime.models import find_model_file
from ..declare import Node
from ..validate import check
from .image_extras import combo_spec, dynamic_option, int_spec


class _Loader(Node):
    """Load a network out of one of ComfyUI's models folders, which lie beside ``upscale_models``."""

    CATEGORY = "model/loaders"
    FUNCTION = "load"
    FOLDER: ClassVar[str]

    @classmethod
    def VALIDATE_INPUTS(cls, model_name: str | None) -> bool | str:
        return model_name is None or check(lambda: cls.find_file(model_name))

    @classmethod
    def list_files(cls) -> list[str]:
        """Return the files of the folder, by their path in it."""
        found = {
            file.relative_to(folder).as_posix()
            for folder in cls._list_folders()
            for file in folder.rglob("*")
            if file.is_file()
        }
        return sorted(found)

    @classmethod
    def find_file(cls, name: str) -> str:
        """Return the path of a file of the folder. Raises ``ModelNotFound``."""
        return str(find_model_file(name, cls._list_folders()))

    @classmethod
    def _list_folders(cls) -> list[Any]:
        folders = cls.host.model_folders()
        return [(one.parent if one.name == "upscale_models" else one) / cls.FOLDER for one in folders]


class FrameInterpolationModelLoader(_Loader, title="Load Frame Interpolation Model"):
    DESCRIPTION = "Loads a frame interpolation model of models/frame_interpolation: RIFE 4 or FILM."
    RETURN_TYPES = ("INTERP_MODEL",)
    FOLDER = "frame_interpolation"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model_name": combo_spec(cls.list_files())}}

    def load(self, model_name: str) -> tuple[Any]:
        return (comfyui.load_frame_interpolator(self.find_file(model_name)),)


class FrameInterpolate(Node, title="Run Frame Interpolation Model"):
    CATEGORY = "video"
    DESCRIPTION = "Makes the images between those of a batch: multiplier - 1 between each two."
    SEARCH_ALIASES: ClassVar = ["rife", "film", "frame interpolation", "slow motion", "interpolate frames", "vfi"]
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "interpolate"
    INPUTS: ClassVar = {
        "required": {"interp_model": ("INTERP_MODEL", {}), "images": ("IMAGE", {}), "multiplier": int_spec(2, 2, 16)}
    }

    def interpolate(self, interp_model: Any, images: Any, multiplier: int = 2) -> tuple[Any]:
        return (comfyui.interpolate_frames(interp_model, images, multiplier, self.host.device(), self.host.progress),)


class LoadDA3Model(_Loader, title="Load Depth Anything 3"):
    DESCRIPTION = "Loads Depth Anything 3, Mono or Metric, of models/geometry_estimation. It computes in float32."
    RETURN_TYPES = ("DA3_MODEL",)
    FOLDER = "geometry_estimation"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        dtypes = combo_spec(["default", "fp16", "bf16", "fp32"], default="default")
        return {"required": {"model_name": combo_spec(cls.list_files()), "weight_dtype": dtypes}}

    def load(self, model_name: str, weight_dtype: str = "default") -> tuple[Any]:
        return (comfyui.load_depth_model(self.find_file(model_name)),)


class DA3Inference(Node, title="Run Depth Anything 3"):
    CATEGORY = "image/geometry estimation"
    DESCRIPTION = "Estimates the depth of every pixel, and where the sky is, image by image."
    SEARCH_ALIASES: ClassVar = [
        "depth",
        "geometry",
        "da3",
        "depth anything",
        "monocular",
        "pointmap",
        "sky",
        "3d",
        "metric depth",
        "disparity",
    ]
    RETURN_TYPES = ("DA3_GEOMETRY",)
    RETURN_NAMES = ("da3_geometry",)
    FUNCTION = "estimate"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        anchors = combo_spec(["saddle_balanced", "saddle_sim_range", "first", "middle"], default="saddle_balanced")
        several = {"ref_view_strategy": anchors, "pose_method": combo_spec(["cam_dec", "ray_pose"], default="cam_dec")}
        options = [dynamic_option("mono"), dynamic_option("multiview", **several)]
        return {
            "required": {
                "da3_model": ("DA3_MODEL", {}),
                "image": ("IMAGE", {}),
                "resolution": int_spec(504, 140, 2520, step=14),
                "resize_method": combo_spec(["upper_bound_resize", "lower_bound_resize"], default="upper_bound_resize"),
                "mode": ("COMFY_DYNAMICCOMBO_V3", {"options": options}),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, mode: str | None) -> bool | str:
        return mode != "multiview" or "multiview relates several images to each other, which needs ComfyUI; choose mono."

    def estimate(
        self, da3_model: Any, image: Any, resolution: int, resize_method: str, mode: str, **shown_inputs: Any
    ) -> tuple[Any]:
        """``shown_inputs`` are those of several views, which ``VALIDATE_INPUTS`` refuses."""
        host = self.host
        return (comfyui.estimate_depth(da3_model, image, resolution, resize_method, host.device(), host.progress),)


class DA3Render(Node, title="Render Depth Anything 3"):
    CATEGORY = "image/geometry estimation"
    DESCRIPTION = "Makes an image of the depth, the sky or the confidence that Depth Anything 3 estimated."
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "render"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        normalization = combo_spec(["v2_style", "min_max", "raw"], default="v2_style")
        depth = {"normalization": normalization, "apply_sky_clip": ("BOOLEAN", {"default": False})}
        colored = {"colored": ("BOOLEAN", {"default": False})}
        shown = {"depth": depth, "depth_colored": depth, "sky_mask": colored, "confidence": colored}
        options = [dynamic_option(key, **inputs) for key, inputs in shown.items()]
        return {"required": {"da3_geometry": ("DA3_GEOMETRY", {}), "output": ("COMFY_DYNAMICCOMBO_V3", {"options": options})}}

    def render(self, da3_geometry: Any, output: str, **shown_inputs: Any) -> tuple[Any]:
        """``shown_inputs`` are those of the output, named ``output.normalization`` and so on."""
        options = {name.removeprefix("output."): value for name, value in shown_inputs.items()}
        return (comfyui.render_depth(da3_geometry, output, options),)
