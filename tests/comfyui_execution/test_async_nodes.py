"""ComfyUI's own test_async_nodes.py."""

from .adapter import upstream

TestAsyncNodes = upstream("test_async_nodes").TestAsyncNodes
