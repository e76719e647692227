"""``comfy_api.latest.ui``: what a V3 node shows besides its results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....absent import absent_attributes, refuse
from ....current import current

__getattr__ = absent_attributes("comfy_api.latest.ui")


class SavedResult(dict[str, str]):
    def __init__(self, filename: str, subfolder: str, type: Any) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=str(getattr(type, "value", type)))


class SavedImages:
    def __init__(self, results: Sequence[SavedResult], is_animated: bool = False) -> None:
        self.results = list(results)
        self.is_animated = is_animated

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.results, **({"animated": (True,)} if self.is_animated else {})}


class PreviewText:
    def __init__(self, value: str, **_: Any) -> None:
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self.value,)}


class PreviewImage:
    """Pictures (B, H, W, C) that are put into the temporary folder by core's node."""

    def __init__(self, image: Any, animated: bool = False, cls: Any = None, **_: Any) -> None:
        preview = current().core.get("PreviewImage")
        if preview is None:
            refuse("comfy_api.latest.ui.PreviewImage")
        node: Any = preview()
        self.values = getattr(node, node.FUNCTION)(images=image)["ui"]["images"]

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values}


class PreviewMask(PreviewImage):
    """Masks (B, H, W) as grey pictures."""

    def __init__(self, mask: Any, animated: bool = False, cls: Any = None, **_: Any) -> None:
        super().__init__(mask.reshape(-1, 1, *mask.shape[-2:]).movedim(1, -1).expand(-1, -1, -1, 3))
