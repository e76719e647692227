"""Load a weight file as spandrel's ``ImageModelDescriptor``: float32, on the CPU, ready to run.

Only tensors are read. Pickles go through torch's ``weights_only`` reader, and a TorchScript archive is rejected because it is
a program. The first bytes decide the file type, so a web page saved as ``.pth`` gets its own message.
"""

import hashlib
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file  # pyright: ignore[reportUnknownVariableType]

from ..checksum import compute_sha256
from ..errors import ModelDamaged, ModelNotFound, UnsupportedModel, WorkflowError
from .catalog import CatalogEntry
from .locate import FoundModel, Provenance
from .ncnn_files.conversion_cache import load_or_convert
from .ncnn_files.ncnn import read_ncnn
from .network_copy import copy_without_host_state
from .spandrel_import import (
    MAIN_REGISTRY,
    ImageModelDescriptor,
    ModelDescriptor,
    UnsupportedModelError,
    canonicalize_state_dict,
    describe_extra,
    import_extra_registry,
)

Descriptor = ImageModelDescriptor[torch.nn.Module]
StateDict = dict[str, torch.Tensor]
_FileKey = tuple[Path, int, int, CatalogEntry | None]

CACHED_MODELS = 4
"""Models that stay loaded, so that a folder of images reads its weights once, those of a chain too."""
KEYS_SHOWN = 5
_MAX_TENSORS = 20_000
_MAX_EXPANSION = 12
"""Most bytes of tensors per byte of the file. Half floats of ncnn have 2, of SPAN 11; many views of one number, thousands."""

PROVENANCE = "upscale8k_provenance"
"""Attribute of a descriptor that says which file it was read from."""
# spandrel's own registry is shared with ComfyUI, which changes it; a copy gives the same answer everywhere.
_REGISTRY = MAIN_REGISTRY.copy()

_model_cache: OrderedDict[_FileKey, Descriptor] = OrderedDict()
_cache_lock = Lock()


def load_model(found: FoundModel) -> Descriptor:
    """Return the model in a file: evaluation mode, float32, without gradients, on the CPU when it is read.

    The same file returns the same object while it is among the last ``CACHED_MODELS``, on the device its last user moved it
    to. For another precision convert a copy of ``descriptor.model``: rounding weights cannot be undone.

    Raises:
        ModelNotFound: The file does not exist any more.
        ModelDamaged: The file is incomplete or contains code.
        UnsupportedModel: The file has no single-image super-resolution model that spandrel knows.
    """
    path = found.path
    try:
        stat = path.stat()
    except OSError as error:
        raise ModelNotFound(f"{path} does not exist any more.", "Run it again to search for the model.", path=path) from error
    key = (path, stat.st_mtime_ns, stat.st_size, found.entry)
    with _cache_lock:
        descriptor = _model_cache.pop(key, None)
        if descriptor is None or descriptor.dtype != torch.float32:
            with torch.inference_mode(mode=False):  # weights of a node's inference mode could not be changed outside of it
                descriptor = _load_uncached(found)
        _model_cache[key] = descriptor
        while len(_model_cache) > CACHED_MODELS:
            _model_cache.popitem(last=False)
    return descriptor


def get_provenance(descriptor: object) -> Provenance | None:
    """Return the file that ``load_model`` read a descriptor from; None if another loader read it."""
    found = getattr(descriptor, PROVENANCE, None)
    return found if isinstance(found, Provenance) else None


def hash_weights(descriptor: Descriptor) -> str:
    """Return the SHA-256 of the weight file, or of the tensors if another loader read them."""
    known = get_provenance(descriptor)
    if known:
        return known.sha256
    digest = hashlib.sha256(b"ensemble" if getattr(descriptor.model, "ensemble", False) else b"")
    for name, tensor in sorted(descriptor.model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def interpolate_models(first: Descriptor, second: Descriptor, weight: float) -> Descriptor:
    """Return the network whose weights are ``(1 - weight) * first + weight * second``; at 0 and 1 the given model itself.

    X. Wang et al., "Deep network interpolation for continuous imagery effect transition", CVPR 2019. The result has a hash of
    its own where both models come from files, and is hashed by its tensors otherwise.

    Raises ``UnsupportedModel`` for two models of different architectures, ``WorkflowError`` for a weight outside 0..1.
    """
    if not 0 <= weight <= 1:
        raise WorkflowError(f"The weight of the second model is {weight:g}.", "Use a number from 0 to 1.")
    _require_same_architecture(first, second)
    if weight in (0, 1):
        return second if weight else first
    mixed = copy_without_host_state(first, first.model)
    others = second.model.state_dict()
    for name, tensor in mixed.model.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_((1 - weight) * tensor + weight * others[name].to(tensor))
    setattr(mixed, PROVENANCE, _mix_provenance(get_provenance(first), get_provenance(second), weight))
    return mixed


def _require_same_architecture(first: Descriptor, second: Descriptor) -> None:
    shapes = [{name: tensor.shape for name, tensor in one.model.state_dict().items()} for one in (first, second)]
    if (first.architecture.id, first.scale, shapes[0]) == (second.architecture.id, second.scale, shapes[1]):
        return
    names = [
        f"{known.path.name if (known := get_provenance(one)) else 'the model'} ({one.architecture.name}, {one.scale}x)"
        for one in (first, second)
    ]
    raise UnsupportedModel(
        f"The weights of {names[0]} and {names[1]} cannot be mixed: their networks differ.",
        "Choose two models of one architecture and size, such as realesr-general-x4v3 and realesr-general-wdn-x4v3.",
    )


def _mix_provenance(first: Provenance | None, second: Provenance | None, weight: float) -> Provenance | None:
    if first is None or second is None:
        return None
    path = first.path.with_stem(f"{first.path.stem}+{weight:g}x{second.path.stem}")
    digest = hashlib.sha256(f"{first.sha256} {second.sha256} {float(weight)!r}".encode()).hexdigest()
    return replace(first, path=path, sha256=digest, entry=first.entry and second.entry and first.entry)


def _load_uncached(found: FoundModel) -> Descriptor:
    try:
        digest = compute_sha256(found.path)
    except OSError as error:
        raise _make_damaged_error(found.path, f"cannot be read ({error.strerror})") from error
    provenance = Provenance(found.path, found.source, digest, found.entry)
    descriptor = load_from_state_dict(read_state_dict(found.path, provenance), found.path)
    setattr(descriptor, PROVENANCE, provenance)
    return descriptor


def read_state_dict(path: Path, provenance: Provenance) -> StateDict:
    """Read the tensors of a .safetensors file, a torch pickle with any suffix, or an ncnn ``.bin`` next to its ``.param``."""
    param = path.with_suffix(".param")
    if path.suffix.casefold() == ".bin" and param.is_file():
        both = hashlib.sha256(f"{provenance.sha256} {compute_sha256(param)}".encode()).hexdigest()
        return load_or_convert(path, both, lambda: read_ncnn(param, path), licence=provenance.licence)
    return _read_file(path)


def read_weights(path: Path) -> StateDict:
    """Read the tensors of a .safetensors file or a torch pickle. Raises ``ModelDamaged`` and ``UnsupportedModel``."""
    return _unwrap_tensors(_read_file(path), path)


def _read_file(path: Path) -> StateDict:
    with path.open("rb") as file:
        start = file.read(1024)
    _reject_non_model(start, path)
    if start.startswith(b"PK\x03\x04"):
        _reject_torchscript(path)
        return _read_pickle(path)
    if start.startswith(b"\x80"):
        return _read_pickle(path)
    return _read_safetensors(path)


def _reject_non_model(start: bytes, path: Path) -> None:
    text = start.lstrip().lower()
    if not start:
        raise _make_damaged_error(path, "is empty")
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise _make_damaged_error(path, "is a web page, not weights; the download returned an error or a login page")
    if text.startswith(b"version https://git-lfs"):
        raise _make_damaged_error(path, "is a Git LFS pointer, not the weights it points to")


def _reject_torchscript(path: Path) -> None:
    """Reject TorchScript: torch before 2.6 runs such an archive even with ``weights_only`` (CVE-2025-32434)."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise _make_damaged_error(path, "is truncated or damaged") from error
    if any(name.endswith(("/constants.pkl", ".py")) for name in names):
        raise _make_code_error(path, "is a TorchScript program")


def _read_pickle(path: Path) -> StateDict:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about newer pickle protocols; a file that it cannot read is an error
            content: object = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        match = re.search(r"GLOBAL ([\w.]+)", str(error))
        if match:
            raise _make_code_error(path, f"contains {match.group(1)}, which is code and not a tensor") from error
        raise _make_damaged_error(path, "is truncated, damaged, or contains more than tensors, which is never run") from error
    except Exception as error:  # damaged bytes make torch's reader raise anything, struct.error too
        raise _make_damaged_error(path, "is truncated, damaged, or not a torch checkpoint") from error
    if not isinstance(content, dict):
        raise UnsupportedModel(f"{path} contains a {type(content).__name__}, not a table of tensors.", path=path)
    return cast("StateDict", content)


def _read_safetensors(path: Path) -> StateDict:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise _make_damaged_error(path, "is neither a safetensors file nor a torch checkpoint, or it is truncated") from error


def load_from_state_dict(content: StateDict, path: Path | str) -> Descriptor:
    """Return the network for the weights in ``content``, wrapped or not: evaluation mode, float32, no gradients, on the CPU.

    Errors name ``path``. Raises ``ModelDamaged`` and ``UnsupportedModel`` as ``load_model`` does.
    """
    path = Path(path)
    tensors = _unwrap_tensors(content, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about the architectures' own code
            descriptor = _load_known_network(tensors)
    except UnsupportedModelError as error:
        raise _make_unknown_model_error(path, content) from error
    except Exception as error:
        # spandrel recognised the layout by a few keys and then found a missing tensor or a wrong shape.
        raise _make_damaged_error(
            path, f"looks like a known model, but its tensors do not fit together ({_extract_first_line(error)})"
        ) from error
    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.purpose not in ("SR", "Restoration"):
        what = f"{path} is a {descriptor.purpose} model ({descriptor.architecture.name}), not one that upscales any image."
        raise UnsupportedModel(what, "Choose a super-resolution model: python -m runtime models list", path=path)
    descriptor.eval().float()
    descriptor.model.requires_grad_(False)
    return descriptor


def _load_known_network(tensors: StateDict) -> ModelDescriptor:
    """Return spandrel's descriptor; networks of ``spandrel_extra_arches`` are known where that package is installed.

    Raises ``UnsupportedModelError``.
    """
    try:
        return _REGISTRY.load(tensors)
    except UnsupportedModelError:
        extra = import_extra_registry()
        if extra is None:
            raise
        return extra.load(tensors)


def _unwrap_tensors(content: StateDict, path: Path) -> StateDict:
    """Return the state dict inside its wrapper (``params_ema``, ``params``, ``state_dict``, a ``module.`` prefix)."""
    try:
        unwrapped = canonicalize_state_dict(content)
    except (AttributeError, TypeError) as error:
        raise _make_unknown_model_error(path, content) from error
    tensors = {key: value for key, value in unwrapped.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise _make_unknown_model_error(path, content)
    nbytes = sum(tensor.nbytes for tensor in tensors.values())
    if len(tensors) > _MAX_TENSORS or (path.is_file() and nbytes > _MAX_EXPANSION * path.stat().st_size):
        # Building such a network takes minutes and gigabytes before anything is found wrong with it.
        raise _make_damaged_error(path, f"claims {len(tensors)} tensors of {nbytes} bytes in all, more than a model has")
    return tensors


def _make_unknown_model_error(path: Path, content: StateDict) -> UnsupportedModel:
    keys = [str(key) for key in content]
    shown_keys = ", ".join(keys[:KEYS_SHOWN]) + (f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else "")
    what = f"{path} contains no known super-resolution model. It contains: {shown_keys or 'nothing'}."
    return UnsupportedModel(what, "Choose an upscale model: python -m runtime models list" + describe_extra(), path=path)


def _make_damaged_error(path: Path, reason: str) -> ModelDamaged:
    return ModelDamaged(
        f"{path} {reason}.", "Get the file again from its author, or run: python -m runtime models verify", path=path
    )


def _make_code_error(path: Path, reason: str) -> ModelDamaged:
    hint = "It was not run. Get the weights as .safetensors, or from their author."
    return ModelDamaged(f"{path} {reason}; weights are loaded as tensors only.", hint, path=path)


def _extract_first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1 if len(lines) > 1 and lines[0].endswith(":") else 0][:160] if lines else type(error).__name__
