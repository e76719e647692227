"""``comfy.model_management``: devices and memory of the host; no model stays on a device between nodes."""

from enum import Enum
from functools import partial
from typing import Any

from .....errors import Cancelled
from ...context import get_host
from ...missing import MissingApi, reject_dunder


def __getattr__(name: str) -> Any:
    if name == "OOM_EXCEPTION":
        import torch

        return torch.OutOfMemoryError
    if name in ("total_vram", "total_ram"):
        return get_total_memory(None if name == "total_vram" else _get_cpu_device()) / (1024 * 1024)
    return MissingApi(f"comfy.model_management.{reject_dunder('comfy.model_management', name)}")


VRAMState = Enum("VRAMState", "DISABLED NO_VRAM LOW_VRAM NORMAL_VRAM HIGH_VRAM SHARED", start=0)
CPUState = Enum("CPUState", "GPU CPU MPS", start=0)
vram_state = VRAMState.NORMAL_VRAM
cpu_state = CPUState.GPU
current_loaded_models: list[Any] = []
DISABLE_SMART_MEMORY = False
XFORMERS_IS_AVAILABLE = False
xpu_available = npu_available = mlu_available = ixuca_available = directml_enabled = False


class InterruptProcessingException(Cancelled):
    """Raised by a node that stops the run."""

    def __init__(self, *args: object) -> None:
        super().__init__(str(args[0]) if args else "The node stopped the run.")


def throw_exception_if_processing_interrupted() -> None:
    """Do nothing: Ctrl-C raises by itself."""


def interrupt_current_processing(value: bool = True) -> None:
    if value:
        raise InterruptProcessingException


def get_torch_device() -> Any:
    """Return the device of the command line; ``auto`` is CUDA, then Apple's MPS, then the CPU."""
    import torch

    name = get_host().device()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    return torch.device(name)


def _get_cpu_device() -> Any:
    import torch

    return torch.device("cpu")


unet_offload_device = text_encoder_offload_device = vae_offload_device = intermediate_device = _get_cpu_device
text_encoder_device = vae_device = get_torch_device


def get_all_torch_devices(exclude_current: bool = False) -> list[Any]:
    return [] if exclude_current else [get_torch_device()]


def get_torch_device_name(device: Any) -> str:
    return str(device)


def is_device_type(device: Any, type: str) -> bool:
    return getattr(device, "type", None) == type


is_device_cpu, is_device_mps = partial(is_device_type, type="cpu"), partial(is_device_type, type="mps")
is_device_cuda, is_device_xpu = partial(is_device_type, type="cuda"), partial(is_device_type, type="xpu")


def get_autocast_device(dev: Any) -> str:
    return getattr(dev, "type", "cuda")


def _return_false(*_: Any, **__: Any) -> bool:
    """Return False: no device here has this property."""
    return False


is_intel_xpu = is_ascend_npu = is_mlu = is_ixuca = is_directml_enabled = force_channels_last = xformers_enabled = _return_false
xformers_enabled_vae = sage_attention_enabled = flash_attention_enabled = supports_fp8_compute = extended_fp16_support = (
    _return_false
)
force_upcast_attention_dtype = pin_memory = unpin_memory = processing_interrupted = _return_false
should_use_fp16 = should_use_bf16 = _return_false  # full precision is right on every device


def pytorch_attention_enabled() -> bool:
    return True


def is_amd() -> bool:
    import torch

    return is_device_cuda(get_torch_device()) and torch.version.hip is not None


def is_oom(e: BaseException) -> bool:
    import torch

    return isinstance(e, torch.OutOfMemoryError)


def raise_non_oom(e: BaseException) -> None:
    if not is_oom(e):
        raise e


def cpu_mode() -> bool:
    return is_device_cpu(get_torch_device())


def mps_mode() -> bool:
    return is_device_mps(get_torch_device())


def is_nvidia() -> bool:
    import torch

    return is_device_cuda(get_torch_device()) and torch.version.cuda is not None


def get_total_memory(dev: Any = None, torch_total_too: bool = False) -> Any:
    """Return the memory of a device in bytes."""
    import psutil
    import torch

    dev = dev if dev is not None else get_torch_device()
    total = torch.cuda.mem_get_info(dev)[1] if is_device_cuda(dev) else psutil.virtual_memory().total
    return (total, total) if torch_total_too else total


def get_free_memory(dev: Any = None, torch_free_too: bool = False) -> Any:
    """Return the free memory of a device in bytes."""
    import psutil
    import torch

    dev = dev if dev is not None else get_torch_device()
    free = torch.cuda.mem_get_info(dev)[0] if is_device_cuda(dev) else psutil.virtual_memory().available
    return (free, free) if torch_free_too else free


def free_memory(memory_required: float, device: Any, *_: Any, **__: Any) -> list[Any]:
    """Return an empty list: no model is kept that could be unloaded."""
    return []


def unload_all_models() -> None:
    """No model is kept."""


cleanup_models = cleanup_models_gc = unload_all_models


def soft_empty_cache(force: bool = False) -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def intermediate_dtype(*_: Any, **__: Any) -> Any:
    import torch

    return torch.float32


vae_dtype = text_encoder_dtype = unet_dtype = intermediate_dtype


def unet_manual_cast(*_: Any, **__: Any) -> None:
    """Return None: full precision needs no cast."""


def dtype_size(dtype: Any) -> int:
    """Return the size of one value in bytes; 4 when no dtype is given."""
    return getattr(dtype, "itemsize", 4)


def supports_cast(device: Any, dtype: Any) -> bool:
    import torch

    return dtype in (torch.float32, torch.float16) or (dtype == torch.bfloat16 and not is_device_mps(device))


def supports_dtype(device: Any, dtype: Any) -> bool:
    """Return whether a device should compute with a dtype: the CPU only with float32."""
    import torch

    return dtype == torch.float32 or (not is_device_cpu(device) and dtype in (torch.float16, torch.bfloat16))


def device_supports_non_blocking(device: Any) -> bool:
    return not is_device_mps(device)


def cast_to(
    weight: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    stream: Any = None,
    r: Any = None,
) -> Any:
    """Return the values with another dtype or on another device, or copy them into ``r``; streams are ignored."""
    if r is not None:
        return r.copy_(weight, non_blocking=non_blocking)
    return weight.to(device=device, dtype=dtype, non_blocking=non_blocking, copy=copy)


def cast_to_device(tensor: Any, device: Any, dtype: Any, copy: bool = False) -> Any:
    return cast_to(tensor, dtype, device, device_supports_non_blocking(device), copy)


def synchronize() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def loaded_models(only_currently_used: bool = False) -> list[Any]:
    """No model is kept."""
    return []


def minimum_inference_memory() -> float:
    """Return the bytes that ComfyUI keeps free for inference."""
    return 0.8 * 1024**3


def extra_reserved_memory() -> float:
    """Return 0: no memory is reserved for other processes."""
    return 0.0


def module_size(module: Any) -> int:
    """Return the bytes of a torch module's weights."""
    return sum(value.nelement() * value.element_size() for value in module.state_dict().values())
