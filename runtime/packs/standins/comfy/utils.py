"""``comfy.utils``: progress bars, resizing and reading weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ....errors import ModelDamaged
from ....host import Progress
from ...absent import absent_attributes
from ...current import host

__getattr__ = absent_attributes("comfy.utils")

PROGRESS_BAR_ENABLED = True


class ProgressBar:
    """Shows how far a node has come, with the display of the host. Steps may be of any size; the display counts to 1000."""

    def __init__(self, total: float, node_id: str | None = None) -> None:
        self.total = total
        self.current: float = 0
        self._shown = 0
        self._open = ExitStack()
        self._bar: Progress | None = None

    def update(self, value: float) -> None:
        self.update_absolute(self.current + value)

    def update_absolute(self, value: float, total: float | None = None, preview: object = None) -> None:
        self.total = total if total is not None else self.total
        self.current = min(value, self.total)
        steps = math.floor(1000 * self.current / self.total) if self.total > 0 else 1000
        if self._bar is None:
            self._bar = self._open.enter_context(host().progress(1000, "step"))
        self._bar.advance(max(0, steps - self._shown))
        self._shown = max(steps, self._shown)
        if self._shown >= 1000:
            self._open.close()


def set_progress_bar_enabled(enabled: bool) -> None:
    """The command line decides what is shown."""


def set_progress_bar_global_hook(function: Callable[..., Any]) -> None:
    """The command line decides what is shown."""


def common_upscale(samples: Any, width: int, height: int, upscale_method: str, crop: str) -> Any:
    """Resize (B, C, H, W); ``crop="center"`` cuts the middle out to the new aspect first.

    ``upscale_method`` is one of torch's, without antialiasing, or ``lanczos``.
    """
    from torch.nn.functional import interpolate

    if crop == "center":
        samples = _cropped(samples, width / height)
    if upscale_method == "lanczos":
        return lanczos(samples, width, height)
    if upscale_method == "bislerp":
        return bislerp(samples, width, height)
    return interpolate(samples, size=(height, width), mode=upscale_method)


def _cropped(samples: Any, aspect: float) -> Any:
    height, width = samples.shape[-2:]
    x = round((width - height * aspect) / 2) if width / height > aspect else 0
    y = round((height - width / aspect) / 2) if width / height < aspect else 0
    return samples.narrow(-2, y, height - 2 * y).narrow(-1, x, width - 2 * x)


def lanczos(samples: Any, width: int, height: int) -> Any:
    """Pillow's Lanczos on 8-bit values, which ComfyUI truncates."""
    import numpy as np
    import torch
    from PIL import Image

    def one(sample: Any) -> Any:
        pixels = np.clip(255.0 * sample.cpu().numpy(), 0, 255).astype(np.uint8)
        picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        resized = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS)).astype(np.float32) / 255.0
        return torch.as_tensor(resized.reshape(height, width, -1))

    return torch.stack([one(sample) for sample in samples.movedim(1, -1)]).movedim(-1, 1).to(samples.device, samples.dtype)


def bislerp(samples: Any, width: int, height: int) -> Any:
    """Interpolation of latents, which no image node needs."""
    return __getattr__("bislerp")(samples, width, height)


def load_torch_file(ckpt: str, safe_load: bool = True, device: Any = None, return_metadata: bool = False) -> Any:
    """The tensors of a weights file; a pickle may hold nothing else, whatever ``safe_load`` says."""
    path = Path(ckpt)
    metadata = None
    try:
        if path.suffix.lower() in (".safetensors", ".sft"):
            tensors, metadata = _safetensors(path, str(device or "cpu"))
        else:
            import torch

            tensors = torch.load(path, map_location=device or "cpu", weights_only=True)
            tensors = tensors.get("state_dict", tensors)
    except OSError:
        raise
    except Exception as error:
        what = f"{path.name} holds no plain tensors: {error}"
        raise ModelDamaged(what, "Use a .safetensors file.", path=path) from error
    return (tensors, metadata) if return_metadata else tensors


def _safetensors(path: Path, device: str) -> tuple[Any, Any]:
    import safetensors

    opened: Any = safetensors.safe_open(path, framework="pt", device=device)  # pyright: ignore[reportUnknownMemberType]
    with opened as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118 # not a dict


def save_torch_file(sd: Mapping[str, Any], ckpt: str, metadata: dict[str, str] | None = None) -> None:
    import safetensors.torch

    part = Path(f"{ckpt}.part")
    safetensors.torch.save_file(dict(sd), part, metadata=metadata)  # pyright: ignore[reportUnknownMemberType]
    part.replace(ckpt)


def calculate_parameters(sd: Mapping[str, Any], prefix: str = "") -> int:
    return sum(value.nelement() for key, value in sd.items() if key.startswith(prefix))


def state_dict_prefix_replace(
    state_dict: dict[str, Any], replace_prefix: Mapping[str, str], filter_keys: bool = False
) -> dict[str, Any]:
    """Rename keys by their beginning, in place, or into a new dict of only those (``filter_keys``)."""
    renamed: dict[str, Any] = {} if filter_keys else state_dict
    for old, new in replace_prefix.items():
        for key in [key for key in state_dict if key.startswith(old)]:
            renamed[new + key[len(old) :]] = state_dict.pop(key)
    return renamed


def repeat_to_batch_size(tensor: Any, batch_size: int, dim: int = 0) -> Any:
    """Cut a batch, or repeat it from its beginning, to a size."""
    count = tensor.shape[dim]
    if count >= batch_size:
        return tensor.narrow(dim, 0, batch_size)
    repeats = [1] * tensor.ndim
    repeats[dim] = math.ceil(batch_size / count)
    return tensor.repeat(repeats).narrow(dim, 0, batch_size)


def string_to_seed(data: bytes | str) -> int:
    """The CRC-32 of a text, by which packs derive seeds from names."""
    import zlib

    return zlib.crc32(data.encode() if isinstance(data, str) else data)
