"""The manual page of the command line, generated from its parser: ``upscale8k --man-page > upscale8k.1``."""

from collections.abc import Iterator
from typing import Any


def format_man_page(command: Any, version: str) -> str:
    """Return the page in roff (man(7)); ``command`` is the group of all commands."""
    lines = [f'.TH UPSCALE8K 1 "" "Upscale8K {version}"', ".SH NAME", rf"upscale8k \- {_escape(command.help)}"]
    lines += [".SH COMMANDS", *_iterate_commands(command, "upscale8k")]
    return "\n".join(lines)


def _iterate_commands(command: Any, path: str) -> Iterator[str]:
    for name, child in getattr(command, "commands", {}).items():
        yield f'.SS "{path} {name}"'
        yield _escape(child.help or "")
        for parameter in child.params:
            if parameter.name != "help":
                names = ", ".join(parameter.opts) if parameter.param_type_name == "option" else str(parameter.name).upper()
                yield f".TP\n\\fB{_escape(names)}\\fR\n{_escape(getattr(parameter, 'help', None) or '')}"
        yield from _iterate_commands(child, f"{path} {name}")


def _escape(text: str) -> str:
    """Protect backslashes and hyphens, and a dot or quote at the beginning of a line."""
    words = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return rf"\&{words}" if words[:1] in (".", "'") else words
