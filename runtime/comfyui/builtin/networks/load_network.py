"""Read the weights of a network in a models folder of ComfyUI: tensors only."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from ....errors import ModelDamaged, UnsupportedModel
from ....models import read_weights

Build = Callable[[Mapping[str, Tensor]], nn.Module | None]


def load_network(path: str, builders: Sequence[Build], wanted: str) -> nn.Module:
    """Return the network of the first of ``builders`` that knows the weights in a file: float32, evaluation, no gradients.

    Raises ``ModelDamaged`` if they do not fit together, and ``UnsupportedModel`` if none knows them.
    """
    weights = read_weights(Path(path))
    for build in builders:
        try:
            network = build(weights)
        except (RuntimeError, KeyError, IndexError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            what = f"{path} looks like a known model, but its tensors do not fit together ({reason})."
            raise ModelDamaged(what, "Download it again.", path=Path(path)) from error
        if network is not None:
            return network.eval().float().requires_grad_(False)
    raise UnsupportedModel(f"{path} contains no {wanted}.", "Choose another file.", path=Path(path))
