"""``comfy_execution.graph``: classes of the executor."""

from .....graph import DynamicPrompt, ExecutionBlocker
from ...missing import make_missing_getattr
from .graph_utils import is_link

__all__ = ["DynamicPrompt", "ExecutionBlocker", "is_link"]

__getattr__ = make_missing_getattr("comfy_execution.graph")
