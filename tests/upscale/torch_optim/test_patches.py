"""Pieces cover the whole once, with the margin that was asked for."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from upscale8k.runtime.upscale.torch_optim.patches import split_into_patches

SIDES = st.integers(1, 90)


@given(
    height=SIDES,
    width=SIDES,
    side=st.integers(1, 40),
    margin=st.integers(0, 6),
    scale=st.integers(1, 3),
    threads=st.integers(1, 64),
)
def test_what_is_right_of_all_pieces_is_the_whole(
    height: int, width: int, side: int, margin: int, scale: int, threads: int
) -> None:
    whole = torch.arange(height * width, dtype=torch.float32).reshape(1, 1, height, width)
    larger = whole.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    result = torch.full_like(larger, -1)
    written = torch.zeros_like(larger)
    for piece in split_into_patches(height, width, side=side, margin=margin, threads=threads):
        assert min(piece.view_core(whole).shape[2:]) >= 1
        assert max(piece.view_core(whole).shape[2:]) <= side
        seen = piece.view_padded(whole)
        made = seen.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
        piece.view_core(result, scale)[:] = piece.crop_to_core(made, scale)
        piece.view_core(written, scale)[:] += 1
    assert torch.equal(result, larger)
    assert torch.equal(written, torch.ones_like(larger))


@given(height=SIDES, width=SIDES, side=st.integers(1, 40), margin=st.integers(0, 6))
def test_a_margin_ends_only_at_the_border(height: int, width: int, side: int, margin: int) -> None:
    for piece in split_into_patches(height, width, side=side, margin=margin):
        for span, whole in ((piece.rows, height), (piece.columns, width)):
            assert span.padded_start == max(span.start - margin, 0)
            assert span.padded_stop == min(span.stop + margin, whole)


@given(height=st.integers(40, 400), width=st.integers(40, 400), threads=st.integers(1, 16))
def test_no_thread_waits_long_for_another(height: int, width: int, threads: int) -> None:
    pieces = split_into_patches(height, width, side=160, margin=5, threads=threads)
    areas = [(one.rows.stop - one.rows.start + 10) * (one.columns.stop - one.columns.start + 10) for one in pieces]
    rounds = -(-len(pieces) // threads)
    at_once = [(-(-height // 160), -(-width // 160)), (min(threads, height // 20), 1), (1, min(threads, width // 20))]
    others = [-(-down * across // threads) * (height / down + 10) * (width / across + 10) for down, across in at_once]
    fitting = [cost for cost, (down, across) in zip(others, at_once, strict=True) if max(height / down, width / across) <= 160]
    slack = rounds * 2 * (max(height, width) + 20)  # pieces are whole pixels
    assert rounds * max(areas) <= min(fitting) + slack
    if threads == 1 and height <= 160 and width <= 160:
        assert len(pieces) == 1


def test_two_threads_get_as_many_pieces_each() -> None:
    assert len(split_into_patches(256, 256, side=120, margin=5, threads=2)) == 12


def test_two_threads_share_a_small_tile_in_halves() -> None:
    assert [(piece.rows.stop, piece.columns.stop) for piece in split_into_patches(96, 96, side=120, margin=5, threads=2)] == [
        (48, 96),
        (96, 96),
    ]
