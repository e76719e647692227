"""``comfy_execution.utils``: which node is being called."""

from typing import NamedTuple

from .....graph import current_call


class ExecutionContext(NamedTuple):
    prompt_id: str
    node_id: str
    list_index: int | None


def get_executing_context() -> ExecutionContext | None:
    """Return the current node call, None outside of one. A run without a queue has no id."""
    call = current_call.get()
    return ExecutionContext("", call.node_id, call.index) if call else None
