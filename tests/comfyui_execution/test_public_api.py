"""ComfyUI's own test_public_api.py."""

from .adapter import upstream

TestPublicAPI = upstream("test_public_api").TestPublicAPI
