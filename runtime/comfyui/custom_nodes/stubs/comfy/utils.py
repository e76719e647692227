"""``comfy.utils``: progress bars, resizing and reading weights."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from operator import attrgetter
from pathlib import Path
from typing import Any

from .....atomic_write import atomic_write
from .....errors import ModelDamaged
from .....progress import Progress
from ....builtin.tiled_scale import count_tiles, tiled_scale_multidim
from ...context import get_host
from ...missing import raise_missing

PROGRESS_BAR_ENABLED = True


class ProgressBar:
    """Reports the progress of a node to the host. Steps may have any size; the display counts to 1000."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self._shown_steps = 0
        self._open = ExitStack()
        self._bar: Progress | None = None

    def update(self, value: float) -> None:
        self.update_absolute(self.current + value)

    def update_absolute(self, value: float, total: float | None = None, preview: object = None) -> None:
        self.total = total if total is not None else self.total
        self.current = min(value, self.total)
        steps = math.floor(1000 * self.current / self.total) if self.total > 0 else 1000
        if self._bar is None:
            self._bar = self._open.enter_context(get_host().progress(1000, "step"))
        self._bar.advance(max(0, steps - self._shown_steps))
        self._shown_steps = max(steps, self._shown_steps)
        if self._shown_steps >= 1000:
            self._open.close()


def set_progress_bar_enabled(enabled: bool) -> None:
    """Do nothing: the command line decides what is displayed."""


def set_progress_bar_global_hook(function: Callable[..., Any]) -> None:
    """Do nothing: the command line decides what is displayed."""


def common_upscale(samples: Any, width: int, height: int, upscale_method: str, crop: str) -> Any:
    """Resize (B, C, H, W); ``crop="center"`` first crops the center to the new aspect ratio."""
    from ....builtin.common_upscale import common_upscale as resize

    if upscale_method == "bislerp":
        return bislerp(samples, width, height)
    return resize(samples, width, height, upscale_method, crop)


def lanczos(samples: Any, width: int, height: int) -> Any:
    """Resize (B, C, H, W), or (B, H, W), by Pillow's Lanczos on truncated 8-bit values."""
    from ....builtin.common_upscale import resize_lanczos

    return resize_lanczos(samples, width, height)


def bislerp(samples: Any, width: int, height: int) -> Any:
    """Raise: interpolation of latents, which no image node needs, is missing."""
    raise_missing("comfy.utils.bislerp")


def load_torch_file(ckpt: str, safe_load: bool = True, device: Any = None, return_metadata: bool = False) -> Any:
    """Return the tensors of a weights file; a pickle may contain nothing else, whatever ``safe_load`` is."""
    path = Path(ckpt)
    metadata = None
    try:
        if path.suffix.lower() in (".safetensors", ".sft"):
            tensors, metadata = _load_safetensors(path, str(device or "cpu"))
        else:
            import torch

            tensors = torch.load(path, map_location=device or "cpu", weights_only=True)
            tensors = tensors.get("state_dict", tensors)
    except OSError:
        raise
    except Exception as error:
        what = f"{path.name} does not contain plain tensors: {error}"
        raise ModelDamaged(what, "Use a .safetensors file.", path=path) from error
    return (tensors, metadata) if return_metadata else tensors


def _load_safetensors(path: Path, device: str) -> tuple[Any, Any]:
    import safetensors

    opened: Any = safetensors.safe_open(path, framework="pt", device=device)  # pyright: ignore[reportUnknownMemberType]
    with opened as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118 # not a dict


def save_torch_file(sd: Mapping[str, Any], ckpt: str, metadata: dict[str, str] | None = None) -> None:
    import safetensors.torch

    with atomic_write(Path(ckpt)) as temp_path:
        safetensors.torch.save_file(dict(sd), temp_path, metadata=metadata)  # pyright: ignore[reportUnknownMemberType]


def calculate_parameters(sd: Mapping[str, Any], prefix: str = "") -> int:
    return sum(value.nelement() for key, value in sd.items() if key.startswith(prefix))


def state_dict_prefix_replace(
    state_dict: dict[str, Any], replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> dict[str, Any]:
    """Rename keys by prefix, in place, or into a new dict of only those (``filter_keys``)."""
    renamed: dict[str, Any] = {} if filter_keys else state_dict
    for old, new in replace_prefix.items():
        for key in [key for key in state_dict if key.startswith(old)]:
            renamed[new + key[len(old) :]] = state_dict.pop(key)
    return renamed


def repeat_to_batch_size(tensor: Any, batch_size: int, dim: int = 0) -> Any:
    """Truncate a batch, or repeat it from its beginning, to a size."""
    count = tensor.shape[dim]
    if count == batch_size:
        return tensor
    if count > batch_size:
        return tensor.narrow(dim, 0, batch_size)
    repeats = [1] * tensor.ndim
    repeats[dim] = math.ceil(batch_size / count)
    return tensor.repeat(repeats).narrow(dim, 0, batch_size)


def _spread_indices(count: int, new_count: int) -> list[int]:
    """Return evenly spread indices: a shorter list keeps both ends, a longer one repeats elements."""
    if new_count <= 1 or new_count == count:
        return list(range(min(new_count, count)))
    if new_count < count:
        return [min(round(index * (count - 1) / (new_count - 1)), count - 1) for index in range(new_count)]
    return [min(math.floor((index + 0.5) * count / new_count), count - 1) for index in range(new_count)]


def resize_to_batch_size(tensor: Any, batch_size: int) -> Any:
    """Return a batch with evenly chosen or repeated elements."""
    return tensor if tensor.shape[0] == batch_size else tensor[_spread_indices(tensor.shape[0], batch_size)]


def resize_list_to_batch_size(l: list[Any], batch_size: int) -> list[Any]:  # noqa: E741 # ComfyUI's name for it
    return l if not l or len(l) == batch_size else [l[index] for index in _spread_indices(len(l), batch_size)]


def reshape_mask(input_mask: Any, output_shape: Sequence[int]) -> Any:
    """Return a mask resized and repeated to ``output_shape`` (B, C, ..., H, W)."""
    import torch

    dimensions = len(output_shape) - 2
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[dimensions]
    if dimensions == 2:
        input_mask = input_mask.reshape(-1, 1, *input_mask.shape[-2:])
    elif dimensions == 3 and input_mask.ndim < 5:
        input_mask = input_mask.reshape(1, 1, -1, *input_mask.shape[-2:])
    mask = torch.nn.functional.interpolate(input_mask, size=tuple(output_shape[2:]), mode=mode)
    if mask.shape[1] < output_shape[1]:
        mask = mask.repeat(1, output_shape[1], *[1] * dimensions)[:, : output_shape[1]]
    return repeat_to_batch_size(mask, output_shape[0])


def weight_dtype(sd: Mapping[str, Any], prefix: str = "") -> Any:
    """Return the dtype of most values whose keys have a prefix; None when there are none."""
    counts: Counter[Any] = Counter()
    for key, value in sd.items():
        if key.startswith(prefix):
            counts[value.dtype] += value.numel()
    return counts.most_common(1)[0][0] if counts else None


def convert_sd_to(state_dict: dict[str, Any], dtype: Any) -> dict[str, Any]:
    state_dict.update({key: value.to(dtype) for key, value in state_dict.items()})
    return state_dict


def state_dict_key_replace(state_dict: dict[str, Any], keys_to_replace: Mapping[str, str]) -> dict[str, Any]:
    for old, new in keys_to_replace.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    return state_dict


def get_attr(obj: Any, attr: str) -> Any:
    """Return a nested attribute: ``get_attr(model, "layer.weight")``."""
    return attrgetter(attr)(obj)


def resolve_attr(obj: Any, attr: str) -> tuple[Any, str]:
    """Return the object that has the last name of a dotted path, and that name."""
    holder, _, name = attr.rpartition(".")
    return (attrgetter(holder)(obj) if holder else obj), name


def set_attr(obj: Any, attr: str, value: Any) -> Any:
    """Set a nested attribute; return its previous value."""
    holder, name = resolve_attr(obj, attr)
    before = getattr(holder, name, None)
    setattr(holder, name, value)
    return before


def set_attr_param(obj: Any, attr: str, value: Any) -> Any:
    import torch

    return set_attr(obj, attr, torch.nn.Parameter(value, requires_grad=False))


def copy_to_param(obj: Any, attr: str, value: Any) -> None:
    get_attr(obj, attr).data.copy_(value)


def tiled_scale(
    samples: Any,
    function: Callable[[Any], Any],
    tile_x: int = 64,
    tile_y: int = 64,
    overlap: float = 8,
    upscale_amount: float = 4,
    out_channels: int = 3,
    output_device: Any = "cpu",
    pbar: ProgressBar | None = None,
) -> Any:
    """Apply ``function`` to images (B, C, H, W) in tiles that are blended over their overlap."""
    tile = (tile_y, tile_x)
    return tiled_scale_multidim(samples, function, tile, overlap, upscale_amount, out_channels, output_device, pbar=pbar)


def get_tiled_scale_steps(width: int, height: int, tile_x: int, tile_y: int, overlap: int) -> int:
    """Return the number of tiles of one image."""
    return count_tiles(height, tile_y, overlap) * count_tiles(width, tile_x, overlap)


def model_trange(*args: Any, **kwargs: Any) -> Any:
    """Return a range without a progress display."""
    return range(*args)


def string_to_seed(data: bytes | str) -> int:
    """Return the CRC-32 of a text, which packs use as a seed."""
    import zlib

    return zlib.crc32(data.encode() if isinstance(data, str) else data)
