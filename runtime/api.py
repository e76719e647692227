"""The functions of ``from upscale8k import ...``: the commands and workflows of the command line, for Python programs.

Their names and parameters are stable. Importing this module loads no torch; each function imports what it uses. Errors are
``Upscale8KError`` with ``what`` and ``hint``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast, overload

from .cli.batch.run_jobs import BatchOptions, run_jobs
from .cli.batch.upscale_jobs import JobOptions, find_jobs
from .cli.commands.compare_command import run_comparison
from .cli.display import Display, ProgressState
from .cli.load_workflow import load_workflow
from .cli.program_name import insert_program_name
from .cli.run_options import RunOptions, find_workflow, open_node_catalog
from .cli.run_workflow import RunOutcome
from .cli.run_workflow import run_workflow as run_loaded_workflow
from .errors import Cancelled, NodeError, Upscale8KError, WorkflowRejected
from .models import AUTO_MODEL, AUTO_MODELS, ModelRow, choose_model, list_models
from .progress import ForwardedProgress, Progress

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from PIL import Image

    from .report import FileMetrics

PathLike = str | Path
OnProgress = Callable[[float | None, str], object]
"""Receives the finished fraction (0 to 1, None while it is unknown) and what is being done."""
OnMessage = Callable[[str], object]
Precision = Literal["auto", "fp32", "fp16", "bf16"]
ColorFix = Literal["off", "mean", "low-frequency"]


@dataclass(frozen=True)
class Callbacks:
    """What a program wants to know, and how it stops the work: ``cancel`` is asked often, and True raises ``Cancelled``."""

    progress: OnProgress | None = None
    message: OnMessage | None = None
    cancel: Callable[[], bool] | None = None


class _CallbackDisplay(Display):
    def __init__(self, callbacks: Callbacks | None) -> None:
        self._callbacks = callbacks or Callbacks()
        self.errors: list[str] = []
        self.shows_status = self._callbacks.message is not None

    def show_message(self, text: str) -> None:
        if self._callbacks.message:
            self._callbacks.message(self.add_prefix(text))

    def show_error(self, text: str) -> None:
        self.errors.append(text)

    def show_summary(self, summary: object) -> None:
        """The caller has the results and the errors."""

    def show_progress(self, state: ProgressState) -> None:
        self.check_cancelled()
        if self._callbacks.progress:
            self._callbacks.progress(state.done / state.total if state.has_total else None, self.add_prefix("") or state.unit)

    def check_cancelled(self) -> None:
        if self._callbacks.cancel and self._callbacks.cancel():
            raise Cancelled("Stopped.")

    def wrap_progress(self, target: Progress) -> Progress:
        return _CancellableProgress(target, self.check_cancelled)


class _CancellableProgress(ForwardedProgress):
    def __init__(self, target: Progress, check: Callable[[], None]) -> None:
        super().__init__(target)
        self._check = check

    def check_cancelled(self) -> None:
        self._check()


class UpscaleKeywords(TypedDict, total=False):
    """The keyword arguments of ``upscale`` as type checkers and editors see them; ``UpscaleOptions`` explains each."""

    to: str
    model: str
    device: str
    backend: str
    precision: Precision
    tile: int
    color_fix: ColorFix
    strength: float
    grain: float
    models_dirs: Sequence[PathLike]
    overwrite: bool
    settings: Mapping[str, object] | None
    callbacks: Callbacks | None


@contextmanager
def _name_own_command() -> Generator[None]:
    """Have errors name the command that the user has, which is not ``python -m runtime`` after ``pip install``."""
    try:
        yield
    except Upscale8KError as error:
        error.what, error.hint = insert_program_name(error.what), insert_program_name(error.hint)
        if isinstance(error, WorkflowRejected):
            error.problems = tuple(
                replace(each, what=insert_program_name(each.what), hint=insert_program_name(each.hint))
                for each in error.problems
            )
        raise


@overload
def upscale(
    source: PathLike | Sequence[PathLike], result: PathLike | None = None, **options: Unpack[UpscaleKeywords]
) -> list[Path]: ...
@overload
def upscale(source: NDArray[np.uint8], result: None = None, **options: Unpack[UpscaleKeywords]) -> NDArray[np.uint8]: ...
@overload
def upscale(source: NDArray[np.uint16], result: None = None, **options: Unpack[UpscaleKeywords]) -> NDArray[np.uint16]: ...
@overload
def upscale(source: NDArray[np.float32], result: None = None, **options: Unpack[UpscaleKeywords]) -> NDArray[np.float32]: ...
@overload
def upscale(source: torch.Tensor, result: None = None, **options: Unpack[UpscaleKeywords]) -> torch.Tensor: ...
@overload
def upscale(source: Image.Image, result: None = None, **options: Unpack[UpscaleKeywords]) -> Image.Image: ...
@_name_own_command()
def upscale(source: Any, result: PathLike | None = None, **options: Unpack[UpscaleKeywords]) -> Any:
    """Upscale files to files, or an image in memory to one of the same type; ``options`` as in ``UpscaleOptions``.

    ``source`` is a path (image, video, folder, glob, ``in/%05d.png``) or several, and then ``result`` as for ``upscale -o``,
    and the written files are returned; or a numpy array (H, W) or (H, W, C) of uint8, uint16 or float32 in 0..1, a
    ``PIL.Image``, or a torch tensor (H, W, C) or (B, H, W, C) of floats in 0..1.

    Raises ``Upscale8KError``: ``MediaError``, ``ModelNotFound``, ``OutOfMemory``, ``Cancelled``, ...
    """
    chosen = UpscaleOptions(**options)
    if isinstance(source, str | Path):
        return _upscale_files([source], result, chosen)
    if isinstance(source, Sequence):
        return _upscale_files(cast("Sequence[PathLike]", source), result, chosen)
    return _upscale_memory(source, chosen)


@dataclass(frozen=True, kw_only=True)
class UpscaleOptions:
    """The keyword arguments of ``upscale``, with their defaults."""

    to: str = "8k"
    """``8k``, ``4k``, ``2x``, ``2.5x``, ``WIDTHxHEIGHT`` or ``model scale``."""
    model: str = AUTO_MODEL
    """Catalog id or file name; ``auto`` and ``auto fast`` look at each source, as the command does."""
    device: str = "auto"
    backend: str = "auto"
    precision: Precision = "auto"
    tile: int = 0
    """Side in source pixels; 0 is automatic."""
    color_fix: ColorFix = "off"
    strength: float = 1.0
    """Share of the model in the result, 0 to 1; the rest is a plain enlargement."""
    grain: float = 0.0
    """Share of the source's own grain that is given back, 0 to 1."""
    models_dirs: Sequence[PathLike] = ()
    overwrite: bool = False
    """Replace existing files whose names were not given."""
    settings: Mapping[str, object] | None = None
    """More inputs of the workflow's nodes, such as ``{"VideoOut.codec": "av1"}``; files only."""
    callbacks: Callbacks | None = None

    @property
    def run_options(self) -> RunOptions:
        return RunOptions(models_dirs=tuple(map(Path, self.models_dirs)), device=self.device, backend=self.backend)


def _upscale_files(sources: Sequence[PathLike], result: PathLike | None, options: UpscaleOptions) -> list[Path]:
    jobs = find_jobs([str(source) for source in sources], None if result is None else Path(result), JobOptions(options.to, ""))
    found: list[Path] = []
    display = _CallbackDisplay(options.callbacks)
    batch_options = BatchOptions(options.run_options, overwrite=options.overwrite)
    node = {job.workflow: "TiledUpscale" if job.workflow == "image_any.json" else "TiledUpscaleVideo" for job in jobs}

    def choose(workflow: str) -> JobOptions:
        inputs = {name: getattr(options, name) for name in ("precision", "color_fix", "strength", "grain")}
        more = {f"{node[workflow]}.{name}": value for name, value in inputs.items()} | dict(options.settings or {})
        return JobOptions(options.to, options.model, tile=options.tile, settings=_format_settings(more))

    code = run_jobs([replace(job, options=choose(job.workflow)) for job in jobs], batch_options, display, found.append)
    if code:
        raise NodeError(f"{len(display.errors)} of {len(jobs)} files failed: {' '.join(display.errors)}")
    return found


def _upscale_memory(source: Any, options: UpscaleOptions) -> Any:
    import numpy as np
    import torch
    from PIL import Image

    from .comfyui import classify_source
    from .images import to_floats, to_integers
    from .models import find_model, load_model
    from .upscale import TiledUpscaleSettings, upscale_batch

    display = _CallbackDisplay(options.callbacks)

    def run(pixels: torch.Tensor) -> torch.Tensor:
        """(B, H, W, C)"""
        model, folders = options.model, options.run_options.resolve_model_folders()
        if model in AUTO_MODELS:
            choice = choose_model(classify_source(pixels), model, folders)
            model = choice.name
            display.show_status(f"{choice.reason} {choice.advice}".rstrip())
        descriptor = load_model(find_model(model, folders))
        settings = TiledUpscaleSettings(
            options.to,
            options.device,
            tile=options.tile,
            precision=options.precision,
            backend=options.backend,
            color_fix=options.color_fix,
            strength=options.strength,
            grain=options.grain,
        )
        return upscale_batch(pixels, descriptor, settings, display.track_progress)

    if isinstance(source, torch.Tensor):
        batch = source if source.ndim == 4 else source[None]
        upscaled = run(batch).to(source.dtype)
        return upscaled if source.ndim == 4 else upscaled[0]
    if isinstance(source, Image.Image):
        mode = source.mode if source.mode in ("L", "LA", "RGB", "RGBA") else "RGBA" if source.has_transparency_data else "RGB"
        return Image.fromarray(_upscale_memory(np.asarray(source.convert(mode)), options))
    pixels: NDArray[Any] = np.asarray(source)
    planes = pixels if pixels.ndim == 3 else pixels[..., None]
    result = run(torch.from_numpy(to_floats(planes))[None])[0].numpy()  # pyright: ignore[reportUnknownMemberType]
    if pixels.dtype.kind == "u":
        result = to_integers(result, 8 * pixels.dtype.itemsize)
    return result if pixels.ndim == 3 else result[..., 0]


@_name_own_command()
def compare(
    source: PathLike,
    folder: PathLike,
    *,
    models: Sequence[str] = (),
    to: str = "4x",
    crop: str = "centre",
    truth: bool = False,
    device: str = "auto",
    backend: str = "auto",
    models_dirs: Sequence[PathLike] = (),
    callbacks: Callbacks | None = None,
) -> list[Path]:
    """Compare models on an image: sheet, maps, analysis and page, as ``compare`` does; return the written files.

    Without ``models``, one of each of three families. With ``truth`` the image is reduced, restored and compared with itself.
    """
    values: dict[str, object] = {"target": to, "crop": crop}
    values |= {"truth": True} if truth else {}
    if models:
        values["models"] = ",".join(models)
    run_options = RunOptions(output_dir=Path(folder), models_dirs=tuple(map(Path, models_dirs)), device=device, backend=backend)
    return run_comparison(Path(source), values, run_options, _CallbackDisplay(callbacks))


@overload
def measure(
    reference: PathLike, result: PathLike, *, tile: int = 0, halo: int = 0, every_nth: int = 1
) -> list[FileMetrics]: ...
@overload
def measure(reference: NDArray[Any], result: NDArray[Any], *, tile: int = 0, halo: int = 0) -> dict[str, float | None]: ...
@_name_own_command()
def measure(reference: Any, result: Any, *, tile: int = 0, halo: int = 0, every_nth: int = 1) -> Any:
    """Measure a result against its reference: paths of images, videos or folders, or two arrays (H, W, C).

    Of paths the ``FileMetrics`` of each result are returned, of arrays the value of each metric by its key. ``tile`` and
    ``halo`` of the upscaler, in pixels of the reference, are where seams are searched.
    """
    from .report import measure_files, measure_pair

    if isinstance(reference, str | Path):
        paths = Path(reference), Path(result)
        return measure_files(*paths, _CallbackDisplay(None).track_progress, tile=tile, halo=halo, every_nth=every_nth)
    return measure_pair(reference, result, tile=tile, halo=halo)[0]


def models(models_dirs: Sequence[PathLike] = ()) -> list[ModelRow]:
    """Return every known model; ``path`` is None for one that ``models pull`` would download."""
    return list_models(RunOptions(models_dirs=tuple(map(Path, models_dirs))).resolve_model_folders())


@_name_own_command()
def run_workflow(
    workflow: PathLike,
    values: Mapping[str, object] | None = None,
    *,
    input_dir: PathLike | None = None,
    output_dir: PathLike | None = None,
    models_dirs: Sequence[PathLike] = (),
    packs: Sequence[PathLike] = (),
    device: str = "auto",
    backend: str = "auto",
    callbacks: Callbacks | None = None,
) -> RunOutcome:
    """Run a workflow of the canvas, an API prompt, or a shipped workflow by name (``image_8k``).

    ``values`` are inputs, ``{"TiledUpscale.target": "4K"}``, by id, title or class of the node. Return the written ``files``
    and the ``values`` that nodes measured, by node id.
    """
    display = _CallbackDisplay(callbacks)
    path = find_workflow(Path(workflow))
    folders = tuple(None if each is None else Path(each) for each in (input_dir, output_dir))
    run_options = RunOptions(*folders, models_dirs=tuple(map(Path, models_dirs)), device=device, backend=backend)
    with (
        closing(run_options.create_host(display, path)) as host,
        open_node_catalog(host, tuple(map(Path, packs)), display.show_message) as catalog,
    ):
        loaded = load_workflow(path, _format_settings(values or {}), catalog.classes, catalog.describe_nodes())
        return run_loaded_workflow(loaded.require_valid(), catalog.classes, host, display)


def _format_settings(values: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items())
