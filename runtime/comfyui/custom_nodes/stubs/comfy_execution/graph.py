"""``comfy_execution.graph``: classes of the executor."""

from .....graph import DynamicPrompt, ExecutionBlocker
from .graph_utils import is_link

__all__ = ["DynamicPrompt", "ExecutionBlocker", "is_link"]
