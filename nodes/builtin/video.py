"""ComfyUI's built-in video nodes, for the headless runner only: same ids, inputs, frames and files as ComfyUI 0.30."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from ...runtime.errors import WorkflowError
from ...runtime.file_types import VIDEO_SUFFIXES
from ..outputs import format_ui_files
from ..validate import file_is_there, output_is_possible

if TYPE_CHECKING:
    from ...runtime.host import Host


class LoadVideo:
    """Open a video of the input folder without decoding it."""

    host: ClassVar[Host]
    CATEGORY = "video"
    DESCRIPTION = "Opens a video of the input folder. Frames are decoded when another node requests them."
    SEARCH_ALIASES: ClassVar = ["import video", "open video", "video file"]
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files(VIDEO_SUFFIXES)
        return {"required": {"file": ("COMBO", {"multiselect": False, "options": files, "video_upload": True})}}

    @classmethod
    def VALIDATE_INPUTS(cls, file: str) -> bool | str:
        return file_is_there(cls.host, file)

    @classmethod
    def IS_CHANGED(cls, file: str) -> str:
        path = cls.host.find_input(file)
        return f"{path}:{path.stat().st_mtime_ns}"

    def load(self, file: str) -> tuple[Any]:
        from ...runtime.comfyui import VideoFromFile

        return (VideoFromFile(self.host.find_input(file)),)


class SaveVideo:
    """An MP4 file that carries the workflow."""

    host: ClassVar[Host]
    CATEGORY = "video"
    DESCRIPTION = "Saves a video as MP4: packets are copied where possible, otherwise encoded as H.264."
    SEARCH_ALIASES: ClassVar = ["export video"]
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        nothing: dict[str, Any] = {"required": {}}
        crf = ("FLOAT", {"default": 23.0, "min": 0.0, "max": 51.0, "step": 1.0, "tooltip": "Lower is better and larger."})
        encodings = [{"key": "auto", "inputs": nothing}, {"key": "re-encode", "inputs": {"required": {"crf": crf}}}]
        encoding = ("COMFY_DYNAMICCOMBO_V3", {"display_name": "encoding mode", "options": encodings})
        codecs = [
            {"key": "auto", "inputs": nothing},
            {"key": "h264", "inputs": {"required": {}, "optional": {"encoding": encoding}}},
        ]
        return {
            "required": {
                "video": ("VIDEO", {"tooltip": "The video to save."}),
                "filename_prefix": ("STRING", {"default": "video/ComfyUI", "multiline": False}),
                "format": ("COMBO", {"default": "auto", "multiselect": False, "options": ["auto", "mp4"]}),
                "codec": ("COMFY_DYNAMICCOMBO_V3", {"options": codecs}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None) -> bool | str:
        return output_is_possible(cls.host, filename_prefix)

    def save(
        self,
        video: Any,
        codec: str,
        filename_prefix: str = "video/ComfyUI",
        format: str = "auto",
        prompt: Any = None,
        extra_pnginfo: Any = None,
        **shown_inputs: Any,
    ) -> dict[str, Any]:
        """``shown_inputs`` may hold ``codec.encoding`` and ``codec.encoding.crf``."""
        from ...runtime.comfyui import save_numbered

        width, height = video.get_dimensions()
        path = self.host.output_path("output", filename_prefix, ".mp4", width=width, height=height)
        metadata: dict[str, Any] = {**(extra_pnginfo or {}), **({"prompt": prompt} if prompt is not None else {})}
        crf = shown_inputs.get("codec.encoding.crf")
        path = save_numbered(video, path, format=format, codec=codec, metadata=metadata or None, crf=crf)
        return {"ui": {"images": format_ui_files(self.host, "output", [path]), "animated": (True,)}, "result": (video,)}


class CreateVideo:
    """Make a video of images."""

    host: ClassVar[Host]
    CATEGORY = "video"
    DESCRIPTION = "Makes a video of images and audio. They stay in memory until it is saved."
    SEARCH_ALIASES: ClassVar = ["images to video"]
    RETURN_TYPES = ("VIDEO",)
    FUNCTION = "create"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        depth = {"default": 8, "min": 8, "max": 10, "step": 2, "display": "number", "tooltip": "10 bits keep gradients smooth."}
        return {
            "required": {
                "images": ("IMAGE", {"tooltip": "The frames."}),
                "fps": ("FLOAT", {"default": 30.0, "min": 1.0, "max": 120.0, "step": 1.0}),
            },
            "optional": {"audio": ("AUDIO", {"tooltip": "The audio track."}), "bit_depth": ("INT", depth)},
        }

    def create(self, images: Any, fps: float, audio: Any = None, bit_depth: int = 8) -> tuple[Any]:
        from ...runtime.comfyui import VideoComponents, VideoFromComponents

        return (VideoFromComponents(VideoComponents(images, Fraction(fps), audio), bit_depth),)


class GetVideoComponents:
    """Load every frame of a video into memory."""

    host: ClassVar[Host]
    CATEGORY = "video"
    DESCRIPTION = (
        "Splits a video into all of its frames, its audio, frame rate and bit depth. Shows how much memory the frames take and "
        "fails where there is less; TiledUpscaleVideo needs only one frame at a time."
    )
    SEARCH_ALIASES: ClassVar = ["extract frames", "split video", "video to images", "demux"]
    RETURN_TYPES = ("IMAGE", "AUDIO", "FLOAT", "INT")
    RETURN_NAMES = ("images", "audio", "fps", "bit_depth")
    FUNCTION = "take_apart"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"video": ("VIDEO", {"tooltip": "The video to split."})}}

    def take_apart(self, video: Any) -> tuple[Any, Any, float, int]:
        # The VIDEO of another pack has no such method.
        needed_bytes = video.memory_of_components() if hasattr(video, "memory_of_components") else 0
        with self.host.progress(1, "video") as progress:
            if needed_bytes:
                progress.message(f"All frames at once take {needed_bytes / 1e9:.1f} GB of memory.")
            parts = video.get_components()
            progress.advance()
        return parts.images, parts.audio, float(parts.frame_rate), video.get_bit_depth()


class VideoSlice:
    """Trim a video without decoding it."""

    host: ClassVar[Host]
    CATEGORY = "video"
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
        trimmed = video.as_trimmed(start_time, duration, strict_duration=strict_duration)
        if trimmed is None:
            raise WorkflowError(
                f"{duration:g} s from {start_time:g} s on exceed the video, which is {video.get_duration():g} s long.",
                "Choose a shorter part, or set strict_duration to false.",
            )
        return (trimmed,)


NODES: dict[str, tuple[type, str]] = {
    "LoadVideo": (LoadVideo, "Load Video"),
    "SaveVideo": (SaveVideo, "Save Video"),
    "CreateVideo": (CreateVideo, "Create Video"),
    "GetVideoComponents": (GetVideoComponents, "Get Video Components"),
    "Video Slice": (VideoSlice, "Trim Video"),
}
