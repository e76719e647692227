"""What comes out of the store is what went in, bit for bit and lying in memory the same way; everything else is refused."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from upscale8k.runtime.result_cache.blobs import BlobStore
from upscale8k.runtime.result_cache.serialize import UnserializableError, deserialize_value, serialize_value


def through(value: Any, folder: Path) -> Any:
    """Packed, written as JSON and safetensors, read, unpacked."""
    tensors: list[Any] = []
    packed = json.loads(json.dumps(serialize_value(value, tensors)))
    blobs = BlobStore(folder)
    digests = [blobs.store(tensor) for tensor in tensors]
    return deserialize_value(packed, [blobs.load(digest) for digest in digests])


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**70, 0.1, -0.0, 1e308, 5e-324, math.inf, -math.inf, "", "é\n\0", "\ud800", [], (), {},
        [1, (2, [3.0, None]), {"a": (True,), "": {}}], {"tensor": 0, "list": [1]}, ("float", "nan"),
    ],
)  # fmt: skip
def test_numbers_text_lists_tuples_and_dicts_come_back_as_they_were(value: Any, tmp_path: Path) -> None:
    again = through(value, tmp_path)
    assert repr(again) == repr(value)


def test_not_a_number_comes_back_as_one(tmp_path: Path) -> None:
    assert math.isnan(through(math.nan, tmp_path))


DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8]


@pytest.mark.parametrize("dtype", [*DTYPES, torch.uint8, torch.bool], ids=str)
def test_tensors_of_every_type_come_back_bit_for_bit(dtype: torch.dtype, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(8)
    size = torch.empty(0, dtype=dtype).element_size()
    raw = torch.randint(0, 2 if dtype == torch.bool else 256, (3, 5, 7 * size), dtype=torch.uint8, generator=generator)
    tensor = raw.view(dtype) if dtype != torch.bool else raw.bool()
    again = through({"samples": tensor}, tmp_path)["samples"]
    assert again.dtype == dtype
    assert again.view(torch.uint8).numpy().tobytes() == tensor.view(torch.uint8).numpy().tobytes()


LAYOUTS = {
    "as made": torch.rand(2, 3, 4, 5),
    "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "permuted": torch.rand(1, 4, 5, 3).permute(0, 3, 1, 2),
    "one channel": torch.rand(1, 6, 7, 1).permute(0, 3, 1, 2),
    "one number": torch.tensor(3.5),
    "nothing": torch.rand(0, 4, 3),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_how_a_tensor_lies_in_memory_is_kept(name: str, tmp_path: Path) -> None:
    tensor = LAYOUTS[name]
    again = through(tensor, tmp_path)
    assert torch.equal(again, tensor)
    assert again.shape == tensor.shape
    long_axes = [axis for axis in range(tensor.dim()) if tensor.shape[axis] != 1]
    assert [again.stride(axis) for axis in long_axes] == [tensor.stride(axis) for axis in long_axes] or tensor.numel() == 0


@pytest.mark.parametrize(
    "tensor",
    [torch.rand(4, 6, 3)[1:3, 2:5], torch.rand(1, 1, 3).expand(4, 5, 3), torch.rand(8)[::2], torch.rand(5, 1, 9)[:, :, 2:3]],
    ids=["cut out", "expanded", "every second", "a column"],
)
def test_the_run_that_keeps_a_view_goes_on_with_exactly_what_the_next_run_gets(tensor: torch.Tensor, tmp_path: Path) -> None:
    tensors: list[Any] = []
    going_on = deserialize_value(serialize_value(tensor, tensors), tensors)
    later = through(tensor, tmp_path)
    assert torch.equal(going_on, tensor)
    assert torch.equal(later, tensor)
    assert (going_on.stride(), going_on.is_contiguous()) == (later.stride(), later.is_contiguous())


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", Fraction(1, 3), {1: "key"}, Text("sub"), np.zeros(3), torch.nn.Parameter(torch.zeros(1)),
     torch.zeros(2, requires_grad=True), torch.zeros(2, dtype=torch.complex64), torch.eye(2).to_sparse(), {1, 2},
     torch.nn.Linear(1, 1), torch.zeros(1, device="meta"), torch._neg_view(torch.ones(2)), lambda: None],
)  # fmt: skip
def test_what_has_no_safe_form_is_refused(value: Any) -> None:
    with pytest.raises(UnserializableError):
        serialize_value([value], [])


@pytest.mark.parametrize("packed", [{"pickle": "x"}, {"list": 3}, {}, {"list": [], "dict": []}, {"tensor": 5, "axes": [0]}, []])
def test_what_the_store_does_not_write_is_not_read(packed: Any) -> None:
    with pytest.raises((ValueError, TypeError, IndexError, KeyError)):
        deserialize_value(packed, [])


def test_a_blob_is_a_safetensors_file_and_changing_what_was_loaded_does_not_change_it(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    tensor = torch.rand(4, 5)
    digest = blobs.store(tensor)
    assert torch.equal(load_file(blobs.get_path(digest))["value"], tensor)
    assert blobs.get_path(digest).stat().st_size == blobs.get_file_size(tensor)
    loaded = blobs.load(digest)
    loaded.zero_()
    assert torch.equal(blobs.load(digest), tensor)
