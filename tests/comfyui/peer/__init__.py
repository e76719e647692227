"""The real ComfyUI 0.30.0, its server and its canvas, as something a test can hold.

``tree``    where the checkout is and what it lacks
``server``  one server process with folders of its own
``canvas``  the frontend that the server hands out, in a headless Chromium

Nothing here imports Upscale8K: this is the peer that it is compared with. Traffic stays on the loopback address.
"""
