"""Fill the templates of reports and benchmarks, ``*.j2``. HTML is escaped by Jinja2, Markdown by the filter ``md``."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~&]|^[-+#=]|^\d+(?=[.)]))")


def render_template(name: str, **values: Any) -> str:
    """Return the template ``name``, a path in ``runtime/``, filled with ``values``."""
    return _make_environment().get_template(name).render(values)


def escape_markdown(text: str) -> str:
    """Escape text from outside, so that it appears literally: one line, no markup, no HTML, no link."""
    escaped_line = _SPECIAL.sub(r"\\\1", " ".join(text.split()))
    return re.sub(r"^\\(\d+)", r"\1\\", escaped_line)  # the number of a list is escaped behind it: 1\. instead of \1.


@cache
def _make_environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    return environment
