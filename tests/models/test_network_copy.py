"""A copy of a network has its tensors and nothing that the host hung on it."""

from types import SimpleNamespace

import torch
from upscale8k.runtime.models.load import load_model
from upscale8k.runtime.models.locate import find_model
from upscale8k.runtime.models.network_copy import copy_without_host_state

HostBuffer = type("HostBuffer", (), {"__module__": "comfy_aimdo.host_buffer"})


def test_the_copy_computes_the_same_and_shares_no_memory() -> None:
    source = load_model(find_model("realesr-animevideov3", ()))
    copied = copy_without_host_state(source, source.model)
    tile = torch.rand(1, 3, 8, 8)
    assert torch.equal(copied(tile), source(tile))
    pointers = {each.data_ptr() for each in source.model.parameters()}
    assert not pointers & {each.data_ptr() for each in copied.model.parameters()}


def test_objects_of_the_host_stay_behind() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3))
    descriptor = SimpleNamespace(model=net, patcher=object(), scale=4)
    net.dynamic_pins = {"cuda:0": {"stack": [(HostBuffer(), 12)]}}  # type: ignore[assignment]
    net.dynamic_vbars = {}  # type: ignore[assignment]
    net[0]._v = (HostBuffer(), 3)  # type: ignore[assignment]
    net[0].note = {"by": "its author"}  # type: ignore[assignment]
    copied = copy_without_host_state(descriptor, net)
    assert (copied.patcher, copied.model.dynamic_pins, copied.model.dynamic_vbars, copied.model[0]._v) == (None,) * 4
    assert (copied.scale, copied.model[0].note) == (4, {"by": "its author"})
    assert net.dynamic_pins["cuda:0"]["stack"][0][1] == 12
    assert torch.equal(copied.model[0].weight, net[0].weight)
