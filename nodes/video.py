"""Videos: read, upscaled and written frame by frame, so that memory does not grow with their length."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..runtime.errors import MediaError
from ..runtime.file_types import VIDEO_SUFFIXES, is_sequence_pattern
from ..runtime.paths import expand_tokens
from ..runtime.upscale.target_size import TARGET_NAMES
from .builtin.image import collect_workflow_text, file_is_there, format_ui_files, output_is_possible
from .declare import choice_input, int_input, seconds_input, text_input, wire_input
from .image import (
    AS_SOURCE,
    DEPTHS,
    LANCZOS,
    NUMBER,
    REPLACE,
    TARGET_TOOLTIP,
    build_upscale_settings,
    declare_tiling_inputs,
    upscale_is_valid,
)

if TYPE_CHECKING:
    from ..runtime.host import Host

CODECS = ["hevc", "av1", "h264", "prores", "ffv1", "vp9"]
CONTAINERS = ["mp4", "mkv", "mov", "webm"]
DEINTERLACE = ["refuse", "bwdif", "keep"]
GAPS = ["refuse", "keep time", "close up"]
HARDWARE = ["none", "auto", "nvenc", "qsv", "amf", "videotoolbox"]

DEINTERLACE_TOOLTIP = (
    "What to do with an interlaced video: refuse it, make full images of its half images (bwdif), or keep the lines as they "
    "are."
)
CODEC_TOOLTIP = (
    "hevc for 8K that players and televisions know, av1 for smaller files, h264 up to 4K, prores for editing, ffv1 without any "
    "loss."
)
PREFIX_TOOLTIP = (
    "Below the output folder; %width%, %height%, %year% and so on are filled in. A suffix such as .mkv goes before container."
)
SEQUENCE_IN_TOOLTIP = "A folder of the input folder, or the names in one: shots/frame_%05d.png."
GAPS_TOOLTIP = (
    "What to do when numbers are missing: refuse and name the first, keep the time of the others (the image before stands as "
    "long), or close up, which makes the video shorter."
)
SEQUENCE_OUT_TOOLTIP = (
    "Below the output folder; %05d is the number, with five digits. The suffix chooses the format: png, tiff, exr, jpg, webp, "
    "avif, jxl."
)
IF_EXISTS_TOOLTIP = "number adds _00001_ and counts up; replace writes exactly this name."
SEQUENCE_EXISTS_TOOLTIP = "number adds _00001_ to the folder and counts up; replace writes exactly these names."
CHROMA_TOOLTIP = "4:4:4 keeps color at full resolution, for masters."
PRESET_TOOLTIP = (
    "The encoder's own word for its speed; empty is what suits the video's size. hevc: superfast, above 4K ultrafast."
)
HARDWARE_TOOLTIP = (
    "An encoder of the graphics card: faster, larger files. auto takes one that is there and takes images of this size, else "
    "the processor, and says which."
)
AUDIO_TOOLTIP = "copy takes the packets as they are wherever the container holds them."
CRF_TOOLTIP = "Quality: lower is better and larger; -1 is what suits the codec. Without meaning for ProRes and FFV1."
SEGMENT_TOOLTIP = "A run that is stopped goes on after the last whole segment; this is how long one is."


class VideoIn:
    """A video of the input folder, as a recipe: nothing is decoded before somebody wants frames."""

    host: ClassVar[Host]
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Opens a video of any length without loading it: frames are decoded one after the other when Video Out asks for them. "
        "Colors are read by what the file says of its matrix and range; variable frame times are kept."
    )
    SEARCH_ALIASES: ClassVar = ["load video", "video input", "open video", "movie", "video", "stream"]
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("For Tiled Upscale Video; ComfyUI's own video nodes take it too.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files(VIDEO_SUFFIXES)
        return {
            "required": {"video": (files, {"video_upload": True, "tooltip": "A file of the input folder."})},
            "optional": {
                "start": seconds_input(0.0, "Where to begin, in seconds; exact, wherever the key frames lie."),
                "duration": seconds_input(0.0, "How much to take, in seconds; 0 is all the rest."),
                "frame_cap": int_input(0, 0, 10_000_000, "Stop after so many frames; 0 is no limit."),
                "every_nth": int_input(1, 1, 1000, "Take one frame in so many; times are kept.", advanced=True),
                "deinterlace": choice_input(DEINTERLACE, "refuse", DEINTERLACE_TOOLTIP, advanced=True),
            },
        }

    @classmethod
    def VALIDATE_INPUTS(cls, video: str) -> bool | str:
        return file_is_there(cls.host, video)

    @classmethod
    def IS_CHANGED(cls, video: str, **_: Any) -> str:
        path = cls.host.find_input(video)
        return f"{path}:{path.stat().st_mtime_ns}"

    def run(
        self,
        video: str,
        start: float = 0.0,
        duration: float = 0.0,
        frame_cap: int = 0,
        every_nth: int = 1,
        deinterlace: Any = "refuse",
    ) -> tuple[Any]:
        from ..runtime.comfyui.types.video import open_video_value

        path = self.host.find_input(video)
        return (open_video_value(path, self.host.progress, start, duration, frame_cap or None, every_nth, deinterlace),)


class TiledUpscaleVideo:
    """Any video to any size; still a recipe."""

    host: ClassVar[Host]
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Upscales a video frame by frame, in tiles without seams, to the model's scale or to an exact size such as 8K. Frames "
        "and tiles that repeat are not computed again. The work is done when Video Out writes the file."
    )
    SEARCH_ALIASES: ClassVar = ["upscale video", "8k video", "video super resolution", "enlarge video", "video"]
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("The video at its new size.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "video": wire_input("VIDEO", "From Video In, or from ComfyUI's own Load Video."),
                "upscale_model": wire_input("UPSCALE_MODEL", "From Upscale Model, or from ComfyUI's own Load Upscale Model."),
                "target": choice_input(TARGET_NAMES, "8K", TARGET_TOOLTIP),
            },
            "optional": declare_tiling_inputs(),
        }

    @classmethod
    def VALIDATE_INPUTS(cls, target: str | None = None, tile: int | None = None) -> bool | str:
        return upscale_is_valid(target, tile)

    def run(
        self,
        video: Any,
        upscale_model: Any,
        target: str,
        tile: int = 0,
        halo: int = -1,
        batch: int = 0,
        precision: Any = "auto",
        reduce: str = LANCZOS,
        backend: str = "auto",
        settings: Any = None,
        color_fix: Any = "off",
    ) -> tuple[Any]:
        from ..runtime.comfyui.types.video import map_video_value
        from ..runtime.upscale.memory import check_result_fits
        from ..runtime.upscale.video import upscale_video

        width, height = video.get_dimensions()
        check_result_fits((1, height, width, 3), upscale_model, target)
        upscale_settings = build_upscale_settings(
            self.host, upscale_model, target, tile, halo, batch, precision, reduce, backend, settings, color_fix
        )
        check_cancelled = self.host.check_cancelled
        return (
            map_video_value(
                video,
                self.host.progress,
                lambda stream, say: upscale_video(stream, upscale_model, upscale_settings, say, check_cancelled),
            ),
        )


class VideoOut:
    """A video to a file, in constant memory; a run that was stopped goes on where it was."""

    host: ClassVar[Host]
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Writes a video: decoding, upscaling and encoding run beside each other. Sound, subtitles, chapters and tags are copied "
        "from the source. Stopped or killed, the same workflow goes on after the last whole segment."
    )
    SEARCH_ALIASES: ClassVar = ["save video", "export video", "video combine", "h265", "hevc", "encode", "mp4"]
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "video": wire_input("VIDEO", "From Tiled Upscale Video, or any other video."),
                "filename_prefix": text_input("Upscale8K/video", PREFIX_TOOLTIP),
            },
            "optional": {
                "container": choice_input(CONTAINERS, "mp4", "mkv holds everything; mp4 is what players expect."),
                "codec": choice_input(CODECS, "hevc", CODEC_TOOLTIP),
                "bit_depth": choice_input(["8", "10"], "10", "10 bits keep skies free of bands; h264 players often want 8."),
                "chroma": choice_input(["4:2:0", "4:4:4"], "4:2:0", CHROMA_TOOLTIP, advanced=True),
                "crf": int_input(-1, -1, 63, CRF_TOOLTIP),
                "preset": text_input("", PRESET_TOOLTIP, advanced=True),
                "hardware": choice_input(HARDWARE, "none", HARDWARE_TOOLTIP, advanced=True),
                "audio": choice_input(["copy", "none"], "copy", AUDIO_TOOLTIP),
                "segment_seconds": int_input(1, 1, 3600, SEGMENT_TOOLTIP, advanced=True),
                "if_exists": choice_input([NUMBER, REPLACE], NUMBER, IF_EXISTS_TOOLTIP, advanced=True),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None) -> bool | str:
        return output_is_possible(cls.host, filename_prefix)

    def run(
        self,
        video: Any,
        filename_prefix: str,
        container: Any = "mp4",
        codec: Any = "hevc",
        bit_depth: str = "10",
        chroma: Any = "4:2:0",
        crf: int = -1,
        preset: str = "",
        hardware: Any = "none",
        audio: Any = "copy",
        segment_seconds: int = 1,
        if_exists: str = NUMBER,
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> dict[str, Any]:
        from ..runtime.comfyui.types.video import write_video_value
        from ..runtime.video.write.video_writer import VideoWriteSettings

        stem, suffix = _split_suffix(filename_prefix, container)
        settings = VideoWriteSettings(
            codec=codec,
            container=_suffix_to_container(suffix),
            bits=10 if bit_depth == "10" else 8,
            chroma=chroma,
            crf=None if crf < 0 else crf,
            preset=preset,
            hardware=None if hardware == "none" else hardware,
            audio=audio,
            metadata={key: json.dumps(value) for key, value in collect_workflow_text(prompt, extra_pnginfo).items()},
            segment_seconds=Fraction(segment_seconds),
        )

        def find_path(width: int, height: int) -> Path:
            if if_exists == NUMBER:
                return self.host.output_path("output", stem, suffix, width=width, height=height)
            name = expand_tokens(stem, width=width, height=height)
            name += "Upscale8K" if not name or name.endswith(("/", "\\")) else ""
            return self.host.output_file("output", name + suffix)

        path = write_video_value(video, self.host.progress, settings, find_path, overwrite=if_exists == REPLACE)
        return {"ui": {"images": format_ui_files(self.host, "output", [path]), "animated": (True,)}}


def _split_suffix(name: str, container: str) -> tuple[str, str]:
    """A suffix in the name is the container, as the person wrote it."""
    suffix = Path(name).suffix
    return (name[: -len(suffix)], suffix) if _suffix_to_container(suffix) in CONTAINERS else (name, f".{container}")


def _suffix_to_container(suffix: str) -> Any:
    return suffix.removeprefix(".").lower()


class SequenceIn:
    """An image sequence of the input folder, as a video."""

    host: ClassVar[Host]
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Opens an image sequence as a video, one after the other and at their full depth: PNG, TIFF, EXR, JPEG and others. "
        "A number that is missing is refused, unless you say what to make of it."
    )
    SEARCH_ALIASES: ClassVar = ["image sequence", "load images", "frames", "png sequence", "exr sequence", "folder"]
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("For Tiled Upscale Video; ComfyUI's own video nodes take it too.",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        rate = {"default": 24.0, "min": 0.01, "max": 1000.0, "step": 0.001, "round": 0.001}
        return {
            "required": {
                "pictures": text_input("frames/%05d.png", SEQUENCE_IN_TOOLTIP),
                "frame_rate": ("FLOAT", {**rate, "tooltip": "frames per second; 23.976 is 24000/1001."}),
            },
            "optional": {"gaps": choice_input(GAPS, "refuse", GAPS_TOOLTIP)},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, pictures: str) -> bool | str:
        try:
            cls.host.find_sequence(images)
        except MediaError as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, pictures: str, frame_rate: float = 24.0, gaps: str = "refuse") -> str:
        from ..runtime.video.sequence.read import compute_sequence_fingerprint

        return f"{frame_rate}:{gaps}:{compute_sequence_fingerprint(cls.host.find_sequence(images))}"

    def run(self, pictures: str, frame_rate: float = 24.0, gaps: Any = "refuse") -> tuple[Any]:
        from ..runtime.comfyui.types.video import open_sequence_value
        from ..runtime.images.sequence_frames import make_frame_reader

        max_pixels = self.host.get_max_input_pixels()
        pattern = self.host.find_sequence(images)
        return (
            open_sequence_value(pattern, frame_rate, gaps, lambda say: make_frame_reader(max_pixels, say), self.host.progress),
        )


class SequenceOut:
    """A video as an image sequence, one file a frame; a run that was stopped goes on where it was."""

    host: ClassVar[Host]
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Writes a video as an image sequence, for compositing and for masters: PNG or TIFF with 16 bits, EXR, and others. "
        "Stopped or killed, the same workflow goes on after the last whole image."
    )
    SEARCH_ALIASES: ClassVar = ["image sequence", "save images", "frames", "png sequence", "exr sequence", "extract frames"]
    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "video": wire_input("VIDEO", "From Tiled Upscale Video, or any other video."),
                "filename": text_input("Upscale8K/frames/%05d.png", SEQUENCE_OUT_TOOLTIP),
            },
            "optional": {
                "bit_depth": choice_input(
                    [AS_SOURCE, *DEPTHS], AS_SOURCE, "32 is floating point. A video of 10 bits becomes 16."
                ),
                "start_number": int_input(1, 0, 100_000_000, "The number of the first image."),
                "if_exists": choice_input([NUMBER, REPLACE], NUMBER, SEQUENCE_EXISTS_TOOLTIP, advanced=True),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename: str | None) -> bool | str:
        if filename is not None and not is_sequence_pattern(expand_tokens(filename)):
            return f"{filename} names one image, not a series of them. Put a number into it: frames/%05d.png."
        return output_is_possible(cls.host, filename)

    def run(
        self,
        video: Any,
        filename: str,
        bit_depth: str = AS_SOURCE,
        start_number: int = 1,
        if_exists: str = NUMBER,
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> dict[str, Any]:
        from ..runtime.comfyui.types.video import write_sequence_value
        from ..runtime.images.sequence_frames import make_frame_writer
        from ..runtime.video.sequence.write import SequenceSettings

        text = {key: json.dumps(value) for key, value in collect_workflow_text(prompt, extra_pnginfo).items()}
        settings = SequenceSettings(make_frame_writer(text), DEPTHS.get(bit_depth), start_number)
        folder, _, names = filename.replace("\\", "/").rpartition("/")

        def find_path(width: int, height: int) -> Path:
            if if_exists == REPLACE:
                return self.host.output_file("output", expand_tokens(filename, width=width, height=height))
            sequence_folder = self.host.output_path("output", folder, "", width=width, height=height)
            return sequence_folder / expand_tokens(names, width=width, height=height)

        pattern, written = write_sequence_value(video, self.host.progress, settings, find_path, overwrite=if_exists == REPLACE)
        return {
            "ui": {
                "images": format_ui_files(self.host, "output", written),
                "series": format_ui_files(self.host, "output", [pattern]),
            }
        }


NODES: dict[str, tuple[type, str]] = {
    "VideoIn": (VideoIn, "Video In"),
    "TiledUpscaleVideo": (TiledUpscaleVideo, "Tiled Upscale Video"),
    "VideoOut": (VideoOut, "Video Out"),
    "SequenceIn": (SequenceIn, "Sequence In"),
    "SequenceOut": (SequenceOut, "Sequence Out"),
}
