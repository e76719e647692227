"""The error that decoders and encoders raise when the image itself is the reason."""

from __future__ import annotations


class ImageFormatError(ValueError):
    """A problem of the image, as a clause that follows "cannot be read:" or "cannot be written:", and ``hint``, the next step.

    ``read`` and ``write`` translate it into ``MediaError`` or ``OutputError``, with the name of the file.
    """

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


def make_non_finite_error() -> ImageFormatError:
    """Return the error for NaN and infinite values in a result."""
    problem = "the image holds values that are not numbers (NaN or infinite)"
    return ImageFormatError(problem, "The step that made it failed; if it was a model in half precision, run it in fp32.")
