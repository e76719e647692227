"""The edge where errors and warnings of decoders are translated."""

import warnings
from pathlib import Path

import pytest
from upscale8k.runtime.images.formats.header import translate_decoder_errors


def test_warnings_are_left_out_until_the_last_of_several_at_work_is_done(tmp_path: Path) -> None:
    before = list(warnings.filters)
    first, second = translate_decoder_errors(tmp_path), translate_decoder_errors(tmp_path)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    warnings.warn("of an image", stacklevel=1)
    second.__exit__(None, None, None)
    assert list(warnings.filters) == before
    with pytest.warns(UserWarning, match="of anything else"):
        warnings.warn("of anything else", stacklevel=1)
