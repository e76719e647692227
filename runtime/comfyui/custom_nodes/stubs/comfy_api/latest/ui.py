"""``comfy_api.latest.ui``: what a V3 node displays besides its results."""

from collections.abc import Sequence
from typing import Any

from ....context import get_context
from ....missing import raise_missing


class SavedResult(dict[str, str]):
    def __init__(self, filename: str, subfolder: str, type: Any) -> None:
        super().__init__(filename=filename, subfolder=subfolder, type=str(getattr(type, "value", type)))


class SavedImages:
    def __init__(self, results: Sequence[SavedResult], is_animated: bool = False) -> None:
        self.results = list(results)
        self.is_animated = is_animated

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.results, **({"animated": (True,)} if self.is_animated else {})}


class SavedAudios:
    def __init__(self, results: Sequence[SavedResult]) -> None:
        self.results = list(results)

    def as_dict(self) -> dict[str, Any]:
        return {"audio": self.results}


class ImageSaveHelper:
    """Saves images (B, H, W, C) as SaveImage does; the hidden inputs of the node ``cls`` become their metadata."""

    @staticmethod
    def save_images(
        images: Any, filename_prefix: str, folder_type: Any, cls: Any = None, compress_level: int = 4
    ) -> list[SavedResult]:
        save_node: Any = get_context().builtin_nodes.get("SaveImage")
        if save_node is None:
            raise_missing("comfy_api.latest.ui.ImageSaveHelper.save_images")
        saver = type("Saver", (save_node,), {"type": str(getattr(folder_type, "value", folder_type))})()
        hidden = getattr(cls, "hidden", None)
        metadata = {name: getattr(hidden, name, None) for name in ("prompt", "extra_pnginfo")}
        shown = getattr(saver, saver.FUNCTION)(images=images, filename_prefix=filename_prefix, **metadata)
        return [SavedResult(**one) for one in shown["ui"]["images"]]

    @staticmethod
    def get_save_images_ui(images: Any, filename_prefix: str, cls: Any = None, compress_level: int = 4) -> SavedImages:
        return SavedImages(ImageSaveHelper.save_images(images, filename_prefix, "output", cls, compress_level))


class PreviewVideo:
    """Saved videos."""

    def __init__(self, values: Sequence[Any], **_: Any) -> None:
        self.values = list(values)

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values, "animated": (True,)}


class PreviewText:
    def __init__(self, value: str, **_: Any) -> None:
        self.value = value

    def as_dict(self) -> dict[str, Any]:
        return {"text": (self.value,)}


class PreviewImage:
    """Images (B, H, W, C), saved to the temporary folder by the PreviewImage node."""

    def __init__(self, image: Any, animated: bool = False, cls: Any = None, **_: Any) -> None:
        preview = get_context().builtin_nodes.get("PreviewImage")
        if preview is None:
            raise_missing("comfy_api.latest.ui.PreviewImage")
        node: Any = preview()
        self.values = getattr(node, node.FUNCTION)(images=image)["ui"]["images"]

    def as_dict(self) -> dict[str, Any]:
        return {"images": self.values}


class PreviewMask(PreviewImage):
    """Masks (B, H, W) as gray images."""

    def __init__(self, mask: Any, animated: bool = False, cls: Any = None, **_: Any) -> None:
        super().__init__(mask.reshape(-1, 1, *mask.shape[-2:]).movedim(1, -1).expand(-1, -1, -1, 3))
