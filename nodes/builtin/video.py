"""ComfyUI's built-in video nodes, for the headless runner only: ids, inputs, frames and files of ComfyUI 0.38.

Files of 0.30 and 0.33 are read, too: a plain ``codec`` beside ``format``, and ``color_space`` under the encoding.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

from ...runtime import comfyui
from ...runtime.errors import WorkflowError
from ...runtime.file_types import VIDEO_SUFFIXES
from ..declare import Node
from ..outputs import format_ui_files
from ..validate import file_is_there, output_is_possible

_COLOR_SPACES = ["sRGB", "HDR", "HDR PQ"]
_CRF_RANGES = {"h264": (23.0, 51.0), "av1": (30.0, 63.0)}
_EDIT_TYPE = "VIDEO_EDIT"


def _trim(video: Any, start: float, duration: float, strict: bool = False) -> Any:
    """Return a part of a video. Raises ``WorkflowError`` if it has none."""
    trimmed = video.as_trimmed(start, duration, strict_duration=strict)
    if trimmed is None:
        raise WorkflowError(
            f"{duration:g} s from {start:g} s on exceed the video, which is {video.get_duration():g} s long.",
            "Choose a shorter part, or set strict_duration to false.",
        )
    return trimmed


def _edit(video: Any, edit: Mapping[str, Any] | None, strict: bool = False) -> Any:
    """Apply the value of ComfyUI's trim and crop editor; zeros change nothing."""
    trim: Mapping[str, Any] = (edit or {}).get("trim") or {}
    crop: Mapping[str, Any] = (edit or {}).get("crop") or {}
    start, duration = float(trim.get("start_time", 0)), float(trim.get("duration", 0))
    if start or duration:
        video = _trim(video, start, duration, strict)
    rectangle = [int(crop.get(key, 0)) for key in ("x", "y", "width", "height")]
    return video.as_cropped(*rectangle) if rectangle[2] > 0 and rectangle[3] > 0 else video


def _declare_codec(codecs: list[str]) -> dict[str, Any]:
    nothing: dict[str, Any] = {"required": {}}
    options: list[dict[str, Any]] = [{"key": "auto", "inputs": nothing}]
    for codec in codecs:
        default, limit = _CRF_RANGES[codec]
        crf = ("FLOAT", {"default": default, "min": 0.0, "max": limit, "step": 1.0, "tooltip": "Lower is better and larger."})
        color = ("COMBO", {"default": "auto", "multiselect": False, "options": ["auto", *_COLOR_SPACES]})
        again = {"key": "re-encode", "inputs": {"required": {"crf": crf}, "optional": {"color_space": color}}}
        encodings = {"display_name": "encoding mode", "options": [{"key": "auto", "inputs": nothing}, again]}
        inputs = {**nothing, "optional": {"encoding": ("COMFY_DYNAMICCOMBO_V3", encodings)}}
        options.append({"key": codec, "inputs": inputs})
    return {"tooltip": "Auto copies a compatible video.", "options": options}


class _VideoNode(Node):
    CATEGORY = "video"
    COMFYUI_VERSION = "0.38"
    """The version whose declaration the node follows."""


class LoadVideo(_VideoNode, title="Load Video"):
    DESCRIPTION = "Opens a video of the input folder. Frames are decoded when another node requests them."
    SEARCH_ALIASES: ClassVar = ["import video", "open video", "video file"]
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files(VIDEO_SUFFIXES)
        return {
            "required": {"file": ("COMBO", {"multiselect": False, "options": files, "video_upload": True})},
            "optional": {"edit": (_EDIT_TYPE, {"tooltip": "Trim in seconds and crop in pixels. Zeros change nothing."})},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, file: str) -> bool | str:
        return file_is_there(cls.host, file)

    @classmethod
    def IS_CHANGED(cls, file: str, edit: Any = None) -> str:
        path = cls.host.find_input(file)
        return f"{path}:{path.stat().st_mtime_ns}"

    def load(self, file: str, edit: Mapping[str, Any] | None = None) -> tuple[Any]:
        return (_edit(comfyui.VideoFromFile(self.host.find_input(file)), edit),)


class SaveVideo(_VideoNode, title="Save Video"):
    DESCRIPTION = "Saves a video as MP4, MKV or WebM: packets are copied where possible, else encoded as H.264 or AV1."
    SEARCH_ALIASES: ClassVar = ["export video"]
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        formats = [
            {"key": key, "inputs": {"required": {}, "optional": {"codec": ("COMFY_DYNAMICCOMBO_V3", _declare_codec(codecs))}}}
            for key in ("auto", "mp4", "mkv", "webm")
            for codecs in ([codec for codec in _CRF_RANGES if key != "webm" or codec == "av1"],)
        ]
        tooltip = "Auto uses MP4, and WebM for AV1."
        return {
            "required": {
                "video": ("VIDEO", {"tooltip": "The video to save."}),
                "filename_prefix": ("STRING", {"default": "video/ComfyUI", "multiline": False}),
                "format": ("COMFY_DYNAMICCOMBO_V3", {"tooltip": tooltip, "options": formats}),
            },
            "optional": {"codec": ("COMFY_DYNAMICCOMBO_V3", {**_declare_codec(list(_CRF_RANGES)), "hidden": True})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None) -> bool | str:
        return output_is_possible(cls.host, filename_prefix)

    def save(
        self,
        video: Any,
        format: str,
        filename_prefix: str = "video/ComfyUI",
        codec: str | None = None,
        prompt: Any = None,
        extra_pnginfo: Any = None,
        **shown_inputs: Any,
    ) -> dict[str, Any]:
        """``shown_inputs`` may hold ``format.codec``, and for it or ``codec`` an encoding with crf and color_space."""
        group = "format.codec" if "format.codec" in shown_inputs else "codec"
        codec = shown_inputs.get("format.codec", codec) or "auto"
        if format == "auto":
            format = "webm" if codec == "av1" else "mp4"
        width, height = video.get_dimensions()
        path = self.host.output_path("output", filename_prefix, f".{format}", width=width, height=height)
        metadata: dict[str, Any] = {**(extra_pnginfo or {}), **({"prompt": prompt} if prompt is not None else {})}
        options: dict[str, Any] = {"crf": shown_inputs.get(f"{group}.encoding.crf")}
        color_space = shown_inputs.get(f"{group}.encoding.color_space", "auto")
        if color_space != "auto":
            options["color_space"] = color_space
            options |= {} if color_space == "sRGB" else {"bit_depth": 10}
        path = comfyui.save_numbered(video, path, format=format, codec=codec, metadata=metadata or None, **options)
        return {"ui": {"images": format_ui_files(self.host, "output", [path]), "animated": (True,)}, "result": (video,)}


class CreateVideo(_VideoNode, title="Create Video"):
    DESCRIPTION = "Makes a video of images and audio. They stay in memory until it is saved."
    SEARCH_ALIASES: ClassVar = ["images to video"]
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "create"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        depth = {"default": "auto", "multiselect": False, "options": ["auto", 8, 10]}
        color = {"default": "sRGB", "multiselect": False, "options": _COLOR_SPACES, "tooltip": "Color space of the images."}
        codec = {"default": "none", "multiselect": False, "options": ["none", "auto", "h264", "av1"], "advanced": True}
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The frames."}),
                "fps": ("FLOAT", {"default": 30.0, "min": 1.0, "max": 120.0, "step": 1.0}),
            },
            "optional": {
                "audio": ("AUDIO", {"tooltip": "The audio track."}),
                "bit_depth": ("COMBO", {**depth, "tooltip": "Auto is 8 bits, and 10 for HDR."}),
                "color_space": ("COMBO", color),
                "codec": ("COMBO", {**codec, "tooltip": "Encode at once instead of keeping the images. Auto is H.264."}),
            },
        }

    def create(
        self,
        images: Any,
        fps: float,
        audio: Any = None,
        bit_depth: int | str = "auto",
        color_space: str = "sRGB",
        codec: str = "none",
    ) -> tuple[Any]:
        depth = (8 if color_space == "sRGB" else 10) if bit_depth == "auto" else int(bit_depth)
        video = comfyui.VideoFromComponents(comfyui.VideoComponents(images, Fraction(fps), audio), depth, color_space)
        return (video if codec == "none" else comfyui.encode_to_memory(video, codec),)


class ConcatenateVideo(_VideoNode, title="Concatenate Video"):
    DESCRIPTION = "Joins videos of one size and frame rate; their frames are loaded into memory."
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "join"
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        part: dict[str, Any] = {"input": {"required": {"video": ("VIDEO", {})}}, "prefix": "video", "min": 1, "max": 100}
        codec = {"default": "auto", "advanced": True, "multiselect": False, "options": ["auto", "h264", "av1"]}
        return {
            "required": {"videos": ("COMFY_AUTOGROW_V3", {"template": part}), "codec": ("COMBO", codec)},
            "optional": {"complete_audio": ("AUDIO", {"advanced": True})},
        }

    def join(self, codec: Any = "auto", complete_audio: Any = None, **videos: Any) -> tuple[Any]:
        parts = [video for number in range(100) for video in videos.get(f"videos.video{number}", [])]
        with self.host.progress(len(parts), "video") as progress:
            joined = comfyui.join_videos(parts, complete_audio[0] if complete_audio else None, progress)
        return (comfyui.encode_to_memory(joined, codec[0]),)


class GetVideoComponents(_VideoNode, title="Get Video Components"):
    DESCRIPTION = (
        "Splits a video into all of its frames, its audio, frame rate, bit depth and color space. Shows how much memory the "
        "frames take and fails where there is less; TiledUpscaleVideo needs only one frame at a time."
    )
    SEARCH_ALIASES: ClassVar = ["extract frames", "split video", "video to images", "demux"]
    # bit_depth is INT up to ComfyUI 0.33 and COMBO since: old and new inputs take it
    RETURN_TYPES = ("IMAGE", "AUDIO", "FLOAT", "INT,COMBO", "COMBO")
    RETURN_NAMES = ("images", "audio", "fps", "bit_depth", "color_space")
    FUNCTION = "take_apart"
    INPUTS: ClassVar = {"required": {"video": ("VIDEO", {"tooltip": "The video to split."})}}

    def take_apart(self, video: Any) -> tuple[Any, Any, float, int, str]:
        # The VIDEO of another pack has no such methods.
        needed_bytes = video.memory_of_components() if hasattr(video, "memory_of_components") else 0
        with self.host.progress(1, "video") as progress:
            if needed_bytes:
                progress.message(f"All frames at once take {needed_bytes / 1e9:.1f} GB of memory.")
            parts = video.get_components()
            progress.advance()
        color_space = video.get_color_space() if hasattr(video, "get_color_space") else "auto"
        return parts.images, parts.audio, float(parts.frame_rate), video.get_bit_depth(), color_space


class VideoTrim(_VideoNode, title="Trim Video (Advanced)"):
    DESCRIPTION = "Trims a video by seconds without decoding it. A duration of 0 keeps the rest."
    SEARCH_ALIASES: ClassVar = ["trim video duration", "skip first frames", "cut video", "start time"]
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "trim"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        strict = {"default": False, "advanced": True, "tooltip": "Fail where the video is too short."}
        edit = (_EDIT_TYPE, {"features": ["trim"]})
        return {"required": {"video": ("VIDEO", {}), "trim": edit, "strict_duration": ("BOOLEAN", strict)}}

    def trim(self, video: Any, trim: Mapping[str, Any] | None = None, strict_duration: bool = False) -> tuple[Any]:
        return (_edit(video, {"trim": (trim or {}).get("trim")}, strict_duration),)


class VideoCrop(_VideoNode, title="Crop Video"):
    DESCRIPTION = "Crops a video in pixels, when it is read. A width or height of 0 keeps the whole frame."
    SEARCH_ALIASES: ClassVar = ["crop video", "cut region", "spatial crop"]
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "crop"
    INPUTS: ClassVar = {"required": {"video": ("VIDEO", {}), "crop": (_EDIT_TYPE, {"features": ["crop"]})}}

    def crop(self, video: Any, crop: Mapping[str, Any] | None = None) -> tuple[Any]:
        return (_edit(video, {"crop": (crop or {}).get("crop")}),)


class VideoSlice(_VideoNode, title="Trim Video", node_id="Video Slice"):
    DESCRIPTION = "Trims a video by seconds. A negative start counts from the end."
    SEARCH_ALIASES: ClassVar = ["trim video duration", "skip first frames", "frame load cap", "start time"]
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "trim"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        start = {"default": 0.0, "min": -100000.0, "max": 100000.0, "step": 0.001, "tooltip": "In seconds."}
        duration = {"default": 0.0, "min": 0.0, "step": 0.001, "tooltip": "In seconds; 0 means to the end."}
        strict = {"default": False, "tooltip": "Fail where the video is shorter than start plus duration."}
        return {
            "required": {
                "video": ("VIDEO", {}),
                "start_time": ("FLOAT", start),
                "duration": ("FLOAT", duration),
                "strict_duration": ("BOOLEAN", strict),
            }
        }

    def trim(self, video: Any, start_time: float = 0.0, duration: float = 0.0, strict_duration: bool = False) -> tuple[Any]:
        return (_trim(video, start_time, duration, strict_duration),)
