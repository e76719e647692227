"""Frame rates as fractions, from numbers and from what a user writes."""

import re
from fractions import Fraction

from ..errors import WorkflowError

MAX_FRAME_RATE = 100_000
_NTSC_RATIO = Fraction(1000, 1001)
_FRAME_RATE_HINT = "Set it to more than 0 frames per second."
_REQUEST = re.compile(r"(\d+(?:\.\d+)?)(?:/(\d+))?( ?x)?", re.IGNORECASE)


def snap_frame_rate(rate: float | Fraction) -> Fraction:
    """Return frames per second as a fraction; 23.976 and the like become NTSC rates (24000/1001). Raises ``WorkflowError``."""
    if not 0 < rate < MAX_FRAME_RATE:
        raise WorkflowError(f"The frame rate is {float(rate):g}.", _FRAME_RATE_HINT, input_name="frame_rate")
    ntsc = round(rate) * _NTSC_RATIO
    return ntsc if round(rate) >= 24 and abs(rate - ntsc) < Fraction(1, 200) else Fraction(rate).limit_denominator(1001)


def parse_frame_rate(text: str, source: Fraction) -> Fraction:
    """Return the frames per second of ``60``, ``59.94``, ``60000/1001``, or of ``2x`` and ``5/2x``, multiples of ``source``.

    Raises ``WorkflowError`` for another text.
    """
    found = _REQUEST.fullmatch(text.strip())
    if found is None or not Fraction(found[1]) or found[2] == "0" or len(text) > 24:
        raise WorkflowError(
            f"The frame rate is {text!r}.",
            "Use frames per second, such as 60, 59.94 or 60000/1001, or a multiple such as 2x.",
            input_name="frame_rate",
        )
    number = Fraction(found[1]) / int(found[2] or 1)
    if found[3]:
        return number * source
    return number if found[2] and number < MAX_FRAME_RATE else snap_frame_rate(number)
