"""What decoders and encoders raise when the picture itself is the reason."""

from __future__ import annotations


class ImageFormatError(ValueError):
    """``what`` is wrong with the picture (a clause that follows "cannot be read:" or "cannot be written:"), and the next step.

    It leaves this room as ``MediaError`` or ``OutputError``, with the file's name.
    """

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


def make_non_finite_error() -> ImageFormatError:
    """The refusal of NaN and infinite values in a result."""
    problem = "the picture holds values that are not numbers (NaN or infinite)"
    return ImageFormatError(problem, "The step that made it failed; if it was a model in half precision, run it in fp32.")
