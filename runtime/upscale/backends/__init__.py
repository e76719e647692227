"""What runs a model, one file each, behind the interface in ``base``.

In fp32 all give what torch gives to 1e-4, in half precision to 50 dB; ``null`` repeats pixels.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ...errors import OutOfMemory, WorkflowError
from .base import AUTO, Backend, ResolvedPrecision, get_backend_spec

if TYPE_CHECKING:
    import torch

    from ...models import UpscaleModel


def open_backend(name: str, model: UpscaleModel, device: torch.device, precision: ResolvedPrecision) -> Backend:
    """Prepare ``model`` to run on ``device``, importing only the backend ``name``.

    Raises ``ValueError`` for ``auto``, which ``resolve_settings`` resolves; ``WorkflowError`` for an unknown name or an
    unsupported precision; ``HardwareMissing`` for a device or library that is not available; ``UnsupportedModel`` for a network
    that the backend cannot run; ``OutOfMemory`` where not even the weights fit.
    """
    if AUTO in (name, precision):
        raise ValueError(f"open_backend takes a resolved backend and precision, not {name!r} and {precision!r}")
    spec = get_backend_spec(name)
    if precision not in spec.precisions:
        supported = " or ".join(spec.precisions)
        raise WorkflowError(f"The backend {name} computes in {supported}, not in {precision}.", "Choose the precision auto.")
    from ..memory import is_out_of_memory, translate_driver_errors  # loads torch

    module, _, factory = spec.factory.rpartition(".")
    try:
        with translate_driver_errors(device):
            return getattr(import_module(f".{module}", __package__), factory)(model, device, precision)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, OutOfMemory) or not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"The weights of this {model.architecture} model do not fit in the memory of {device} ({error}).",
            "Close other programs that use it" + (", or run with --device cpu." if device.type != "cpu" else "."),
            device=str(device),
            tile=0,
        ) from error
