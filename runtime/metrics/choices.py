"""The words that a person chooses between; imports nothing, so that a node can show them without torch."""

from __future__ import annotations

from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["full", "low-frequency"]
MODES: tuple[Mode, ...] = ("full", "low-frequency")

Kind: TypeAlias = Literal["absolute", "signed", "delta e", "edges"]
KINDS: tuple[Kind, ...] = ("absolute", "signed", "delta e", "edges")

At: TypeAlias = Literal["reference", "output"]
AT: tuple[At, ...] = ("reference", "output")

DIVERGING = "blue-white-red"
COLOURS = ("inferno", "viridis", "magma", "cividis", "turbo", DIVERGING, "grey")
