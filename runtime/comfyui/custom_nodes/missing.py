"""Objects in the place of missing parts of ComfyUI. They can be imported, passed on, listed and subclassed; using one raises.

Packs read lists of ComfyUI while they declare their nodes, so a missing list is empty outside of a node call. They look into
the inputs of ComfyUI's nodes while they are imported, so until then these have a ``MissingApi`` for every key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NoReturn

from ...errors import HardwareMissing
from ...graph import current_call
from .context import context_stack, importing


def raise_missing(name: str) -> NoReturn:
    """Raise ``HardwareMissing`` for a part of ComfyUI that was used."""
    raise HardwareMissing(
        f"{name} is a part of ComfyUI that the headless runner does not have.",
        "Run this workflow in ComfyUI, or remove the node.",
        feature=name,
    )


class _MissingClass(type):
    """Metaclass of the base class that replaces a missing one."""

    def __getattr__(cls, attribute: str) -> Any:
        return MissingApi(f"{cls.__name__}.{reject_dunder(cls.__name__, attribute)}")


class MissingNodeInputs(dict[str, Any]):
    """The inputs of a missing node, which a pack may read and extend while it is imported."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, key: str) -> Any:
        if key in ("required", "optional"):
            self[key] = MissingNodeInputs(f"{self._name}[{key!r}]")
            return self[key]
        return MissingApi(f"{self._name}[{key!r}]")


class MissingApi:
    """Anything in a missing module, such as ``comfy.samplers.KSampler``, and its attributes."""

    def __init__(self, name: str) -> None:
        self._name: str = name

    def __getattr__(self, attribute: str) -> Any:
        return MissingApi(f"{self._name}.{reject_dunder(self._name, attribute)}")

    def __call__(self, *_: Any, **__: Any) -> Any:
        if importing.get() and self._name.endswith(".INPUT_TYPES"):
            return MissingNodeInputs(self._name)
        raise_missing(self._name)

    def __iter__(self) -> Iterator[Any]:
        if current_call.get() is not None:
            raise_missing(self._name)
        return iter(())

    def __add__(self, other: Any) -> Any:
        """Concatenate with another sequence, as an empty one."""
        return type(other)((*self, *other))

    def __radd__(self, other: Any) -> Any:
        return type(other)((*other, *self))

    def __getitem__(self, key: object) -> MissingApi:
        if importing.get():
            return MissingApi(f"{self._name}[{key!r}]")
        raise_missing(self._name)

    def __instancecheck__(self, _: object) -> bool:
        return False

    def __or__(self, _: object) -> MissingApi:
        return self

    __ror__ = __or__

    def __mro_entries__(self, _: tuple[object, ...]) -> tuple[type]:
        """Let classes derive from a missing class; creating an instance raises."""
        name = self._name

        def raise_on_init(*_: Any, **__: Any) -> NoReturn:
            raise_missing(name)

        input_types = MissingApi(f"{name}.INPUT_TYPES")
        return (_MissingClass(name.rpartition(".")[2], (), {"__init__": raise_on_init, "INPUT_TYPES": input_types}),)

    def __repr__(self) -> str:
        return f"<missing {self._name} of ComfyUI>"


def reject_dunder(owner: str, attribute: str) -> str:
    """Return the attribute. Raises ``AttributeError`` for dunder names, so that protocols count as unsupported."""
    if attribute.startswith("__"):
        raise AttributeError(f"{owner} has no attribute {attribute!r}")
    return attribute


def make_missing_getattr(module: str) -> Callable[[str], MissingApi]:
    """Return a ``__getattr__`` for a stub module that returns a ``MissingApi`` for every missing name."""
    return lambda attribute: MissingApi(f"{module}.{reject_dunder(module, attribute)}")


class MissingModule(ModuleType):
    """A module of ComfyUI that has no stub."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "A module of ComfyUI that the headless runner does not have.")
        self.__path__ = []

    def __getattr__(self, attribute: str) -> Any:
        """Return a built-in node from whatever module of ComfyUI it is imported, else a ``MissingApi``."""
        if self.__name__.startswith("comfy_extras.") and context_stack and attribute in context_stack[-1].builtin_nodes:
            return context_stack[-1].builtin_nodes[attribute]
        return MissingApi(f"{self.__name__}.{reject_dunder(self.__name__, attribute)}")
