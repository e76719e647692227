"""Several networks as one, and a network that is averaged over the eight ways to mirror and turn an image.

The tiled engine sees one network, so a tile goes through all stages before the next one begins: no image between two stages
exists, and the context of a tile is that of all stages together, each in its own scale (``upscale_model``).
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import cast

import torch

from ..errors import UnsupportedModel
from .load import PROVENANCE, Descriptor, get_provenance
from .spandrel_import import ImageModelDescriptor, SizeRequirements

_TURNS = 8


class ChainNetwork(torch.nn.Module):
    """Runs ``stages`` one after the other, each clamped to 0..1 as spandrel does between two calls."""

    def __init__(self, stages: Sequence[Descriptor], *, ensemble: bool) -> None:
        super().__init__()
        self.stages = list(stages)
        self.networks = torch.nn.ModuleList([stage.model for stage in stages])
        self.ensemble = ensemble
        self.input_dtypes: list[torch.dtype] = []
        """What each stage takes where they differ, by a backend that converts them one by one."""

    def iterate_scales(self) -> Iterator[int]:
        """Yield the enlargement before each stage."""
        scale = 1
        for stage in self.stages:
            yield scale
            scale *= stage.scale

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) in 0..1 to (N, 3, H * scale, W * scale)."""
        if not self.ensemble:
            return self._run_stages(images)
        total = self._run_stages(images)
        for turn in range(1, _TURNS):
            total = total + _turn_back(self._run_stages(_turn(images, turn)), turn)
        return total / _TURNS

    def _run_stages(self, images: torch.Tensor) -> torch.Tensor:
        for index, stage in enumerate(self.stages):
            images = images.to(self.input_dtypes[index]) if self.input_dtypes else images
            call = cast("Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]", stage._call_fn)  # pyright: ignore[reportPrivateUsage]
            images = call(stage.model, images).clamp(0, 1)
        return images


def _mirror(images: torch.Tensor, turn: int) -> torch.Tensor:
    axes = [axis for axis in (2, 3) if turn & axis - 1]
    return images.flip(axes) if axes else images


def _turn(images: torch.Tensor, turn: int) -> torch.Tensor:
    return _mirror(images, turn).transpose(2, 3) if turn & 4 else _mirror(images, turn)


def _turn_back(images: torch.Tensor, turn: int) -> torch.Tensor:
    return _mirror(images.transpose(2, 3) if turn & 4 else images, turn)


def chain_models(models: Sequence[Descriptor], *, ensemble: bool = False) -> Descriptor:
    """Return ``models`` as one network, run from the first to the last; a single one without ``ensemble`` is returned itself.

    A model that is a chain contributes its stages. ``ensemble`` averages the results of the image mirrored and turned in eight
    ways (R. Timofte et al., "Seven ways to improve example-based single image super resolution", CVPR 2016), in eight times the
    time. The result has a hash of its own. Raises ``UnsupportedModel`` for a model that is not RGB to RGB, such as a grey one.
    """
    stages = [stage for model in models for stage in list_stages(model)]
    ensemble = ensemble or any(isinstance(model.model, ChainNetwork) and model.model.ensemble for model in models)
    if len(stages) == 1 and not ensemble:
        return stages[0]
    for stage in stages:
        if (stage.input_channels, stage.output_channels) != (3, 3):
            name = known.path.name if (known := get_provenance(stage)) else stage.architecture.name
            raise UnsupportedModel(
                f"{name} takes {stage.input_channels} and gives {stage.output_channels} channels, not 3 and 3.",
                "Choose models for RGB images.",
            )
    network = ChainNetwork(stages, ensemble=ensemble)
    scales = list(network.iterate_scales())
    sizes = [stage.size_requirements for stage in stages]
    scale = scales[-1] * stages[-1].scale
    with torch.inference_mode():  # spandrel copies the weights onto themselves, also those that were made in this mode
        chain = ImageModelDescriptor(
            network,
            network.state_dict(),
            max((stage.architecture for stage in stages), key=lambda one: _WEIGHT_OF_KINDS.get(one.id, len(_WEIGHT_OF_KINDS))),
            "SR" if scale > 1 else "Restoration",
            ["chain"],
            supports_half=all(stage.supports_half for stage in stages),
            supports_bfloat16=all(stage.supports_bfloat16 for stage in stages),
            scale=scale,
            input_channels=3,
            output_channels=3,
            size_requirements=SizeRequirements(
                minimum=max(-(-size.minimum // before) for size, before in zip(sizes, scales, strict=True)),
                multiple_of=combine_periods([size.multiple_of for size in sizes], scales),
            ),
        ).eval()
    provenances = [get_provenance(stage) for stage in stages]
    if all(provenances):
        known = [one for one in provenances if one]
        names = [one.path.stem for one in known[:-1]] + [known[-1].path.name]
        text = f"chain{' x8' * ensemble} {' '.join(one.sha256 for one in known)}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        setattr(
            chain, PROVENANCE, replace(known[-1], path=known[-1].path.with_name("+".join(names)), sha256=digest, entry=None)
        )
    return chain


_WEIGHT_OF_KINDS = {"Compact": 0, "ESRGAN": 1}
"""A chain is treated as its most demanding stage: as a plain convolutional network where all stages are."""


def list_stages(model: Descriptor) -> list[Descriptor]:
    """Return the stages of a chain, or the model itself."""
    return model.model.stages if isinstance(model.model, ChainNetwork) else [model]


def combine_periods(periods: Sequence[int], scales: Sequence[int]) -> int:
    """Return the smallest period of the source that is one of every stage, each after an enlargement by its scale."""
    return math.lcm(*(period // math.gcd(period, before) for period, before in zip(periods, scales, strict=True)))


def repeat_enlargers(model: Descriptor, passes: int) -> Descriptor:
    """Return the chain that is enlarged ``passes`` times but restored once: the stages of scale 1 take part in the first pass.

    A model without such a stage is returned itself, because all of its passes are alike.
    """
    stages = list_stages(model)
    enlargers = [stage for stage in stages if stage.scale > 1]
    if passes < 2 or len(enlargers) == len(stages):
        return model
    return chain_models([model, *enlargers * (passes - 1)])
