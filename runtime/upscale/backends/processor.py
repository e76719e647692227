"""A network as a processor runs it best: the same weights and the same result, less memory and fewer passes over it."""

from __future__ import annotations

import torch

from .bfloat16 import in_bfloat16
from .compact import add_before_shuffle
from .crew import Crew
from .dense import dense_in_pieces, has_dense_blocks
from .tail import has_tail, tail_in_pieces


def suit_processor(net: torch.nn.Module, dtype: torch.dtype) -> torch.dtype:
    """Change ``net``, in fp32 and as spandrel loads it, in place; return the dtype that it takes pictures in.

    It computes in ``dtype``, in bf16 as ``in_bfloat16`` says.
    """
    dense, tail = has_dense_blocks(net), has_tail(net)
    crew = Crew() if dense or tail else None
    add_before_shuffle(net)
    takes = dtype
    if dtype is torch.bfloat16:
        takes = in_bfloat16(net, crew)
    elif dense:
        dense_in_pieces(net, crew)
    if tail and crew:
        tail_in_pieces(net, crew)
    return takes
