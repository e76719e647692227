"""ComfyUI's own test_execution.py."""

from .adapter import upstream

TestExecution = upstream("test_execution").TestExecution
