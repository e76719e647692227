"""Find the files that a workflow needs: images and videos of the input folder, and weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..errors import MediaError, ModelError
from ..file_types import WEIGHT_SUFFIXES
from ..graph import Prompt, get_declared_inputs, is_link
from ..host import LocalHost
from ..models import find_entry, find_model, split_chain

_UPLOAD_FLAGS = ("image_upload", "video_upload", "animated_image_upload", "audio_upload")


@dataclass(frozen=True)
class RequiredFile:
    """A file that an input of a node names; ``path`` is None if it is missing."""

    kind: Literal["file", "model"]
    node_id: str
    input_name: str
    name: str
    path: Path | None


@dataclass
class FileFinder:
    """Finds the file that a text of a workflow names; each text is searched once."""

    host: LocalHost
    _found: dict[str, Path | None] = field(default_factory=dict[str, Path | None])

    def find(self, text: str) -> Path | None:
        if text not in self._found:
            self._found[text] = self.find_input(text) or self.find_model(text) or _find_absolute(text)
        return self._found[text]

    def find_input(self, text: str) -> Path | None:
        try:
            return self.host.find_input(text)
        except (MediaError, OSError, ValueError):
            return None

    def find_model(self, text: str) -> Path | None:
        try:
            return find_model(text, self.host.model_folders()).path if is_model_name(text) else None
        except (ModelError, OSError, ValueError):
            return None


def is_model_name(text: str) -> bool:
    """Return whether a text is a catalog id or has the suffix of a weight file."""
    return text.lower().endswith(WEIGHT_SUFFIXES) or find_entry(text) is not None


def find_required_files(
    prompt: Prompt, node_ids: Sequence[str], catalog: Mapping[str, type], host: LocalHost
) -> list[RequiredFile]:
    """Return the files that the inputs of these nodes name, for inputs that are declared as files."""
    finder = FileFinder(host)
    return [
        need
        for node_id in node_ids
        for need in _find_in_node(node_id, prompt[node_id], catalog[prompt[node_id]["class_type"]], finder)
    ]


def _find_in_node(node_id: str, node: Mapping[str, Any], cls: type, finder: FileFinder) -> list[RequiredFile]:
    found: list[RequiredFile] = []
    for name, spec in get_declared_inputs(cls, node["inputs"]).items():
        value: object = node["inputs"].get(name)
        if is_link(value) or not isinstance(value, str) or not value:
            continue
        if _is_model_loader(cls) and spec.choices is not None:
            names = filter(is_model_name, split_chain(value, finder.host.model_folders()))
            found += [RequiredFile("model", node_id, name, each, finder.find_model(each)) for each in names]
        elif any(spec.options.get(flag) for flag in _UPLOAD_FLAGS):
            found.append(RequiredFile("file", node_id, name, value, finder.find_input(value)))
    return found


def _is_model_loader(cls: type) -> bool:
    return any(isinstance(kind, str) and kind.endswith("MODEL") for kind in getattr(cls, "RETURN_TYPES", ()))


def _find_absolute(text: str) -> Path | None:
    """Return the file of an absolute path, which a node of another pack may open."""
    try:
        path = Path(text)
        return path if path.is_absolute() and path.is_file() else None
    except (OSError, ValueError):
        return None
