"""``comfy_execution.graph``: the blocker is the executor's own."""

from ....graph.calls import ExecutionBlocker
from ....graph.live import LivePrompt as DynamicPrompt
from ...absent import absent_attributes
from .graph_utils import is_link

__all__ = ["DynamicPrompt", "ExecutionBlocker", "is_link"]

__getattr__ = absent_attributes("comfy_execution.graph")
