"""What decoders and encoders raise when the picture itself is the reason."""

from __future__ import annotations


class Refusal(ValueError):
    """``what`` is wrong with the picture (a clause that follows "cannot be read:" or "cannot be written:"), and the next step.

    It leaves this room as ``MediaError`` or ``OutputError``, with the file's name.
    """

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def not_numbers() -> Refusal:
    """The refusal of NaN and infinite values in a result."""
    what = "the picture holds values that are not numbers (NaN or infinite)"
    return Refusal(what, "The step that made it failed; if it was a model in half precision, run it in fp32.")
