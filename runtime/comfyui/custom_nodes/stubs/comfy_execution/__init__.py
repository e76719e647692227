"""``comfy_execution``: build graphs and block results."""
