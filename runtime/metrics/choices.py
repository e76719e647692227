"""The values of options; imports nothing, so that node declarations need neither torch nor numpy."""

from typing import Literal, TypeAlias

DriftMode: TypeAlias = Literal["full", "low-frequency"]
DRIFT_MODES: tuple[DriftMode, ...] = ("full", "low-frequency")

DiffKind: TypeAlias = Literal["absolute", "signed", "delta e", "edges"]
DIFF_KINDS: tuple[DiffKind, ...] = ("absolute", "signed", "delta e", "edges")

MapSize: TypeAlias = Literal["reference", "output"]
MAP_SIZES: tuple[MapSize, ...] = ("reference", "output")

AUTO_COLORMAP = "auto"
DIVERGING_COLORMAP = "blue-white-red"
COLORMAPS = ("inferno", "viridis", "magma", "cividis", "turbo", DIVERGING_COLORMAP, "grey")
