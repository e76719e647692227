"""Parts of ComfyUI that are not here. They can be imported, passed on, listed and subclassed; using one says what it is.

Packs read lists of ComfyUI while they declare their nodes: outside of a call an absent list is empty. They look into the
inputs of its nodes while they are imported: until then these hold whatever is asked for, itself absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NoReturn

from ...errors import HardwareMissing
from ...graph.execute.node_call import current_call
from .context import context_stack, importing


def raise_missing(name: str) -> NoReturn:
    """Raises ``HardwareMissing`` for a part of ComfyUI that was used."""
    raise HardwareMissing(
        f"{name} is a part of ComfyUI that the headless runner does not have.",
        "Run this workflow in ComfyUI, or leave the node out.",
        feature=name,
    )


class _MissingClass(type):
    """What a class that derives from an absent one derives from."""

    def __getattr__(cls, attribute: str) -> Any:
        return MissingApi(f"{cls.__name__}.{reject_dunder(cls.__name__, attribute)}")


class MissingNodeInputs(dict[str, Any]):
    """What an absent node would declare: a pack may look into it, and add to it, while it is imported."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __missing__(self, key: str) -> Any:
        if key in ("required", "optional"):
            self[key] = MissingNodeInputs(f"{self._name}[{key!r}]")
            return self[key]
        return MissingApi(f"{self._name}[{key!r}]")


class MissingApi:
    """Anything below an absent module: ``comfy.samplers.KSampler``, and its attributes in turn."""

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
        """A list of absent things and another."""
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
        """A class that is derived from an absent one can be written, not made."""
        name = self._name

        def raise_on_init(*_: Any, **__: Any) -> NoReturn:
            raise_missing(name)

        input_types = MissingApi(f"{name}.INPUT_TYPES")
        return (_MissingClass(name.rpartition(".")[2], (), {"__init__": raise_on_init, "INPUT_TYPES": input_types}),)

    def __repr__(self) -> str:
        return f"<{self._name} of ComfyUI, absent>"


def reject_dunder(owner: str, attribute: str) -> str:
    """The attribute itself; Python's own protocols must see that they are not supported."""
    if attribute.startswith("__"):
        raise AttributeError(f"{owner} has no attribute {attribute!r}")
    return attribute


def make_missing_getattr(module: str) -> Callable[[str], MissingApi]:
    """``__getattr__`` for a stand-in: everything that it does not have is absent."""
    return lambda attribute: MissingApi(f"{module}.{reject_dunder(module, attribute)}")


class MissingModule(ModuleType):
    """A module of ComfyUI that is not here at all."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "A part of ComfyUI that is not here.")
        self.__path__ = []

    def __getattr__(self, attribute: str) -> Any:
        """A node of core that is here after all is that node, whichever module of ComfyUI it is looked for in."""
        if self.__name__.startswith("comfy_extras.") and context_stack and attribute in context_stack[-1].builtin_nodes:
            return context_stack[-1].builtin_nodes[attribute]
        return MissingApi(f"{self.__name__}.{reject_dunder(self.__name__, attribute)}")
