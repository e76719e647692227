"""Look at an image or a video, and say how to upscale it.

* ``footage``   what is wrong with it: noise, blocks, softness, combing, telecine, borders; numbers from pixels alone.
* ``advice``    the settings that follow, each with its reason.
* ``trials``    other settings, tried on crops whose truth is known.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .advice import Advice, Reason, advise, list_widget_values
    from .footage import Footage, examine_file
    from .trials import Trial, TrialSettings, improve_advice

__getattr__ = lazy_exports(__name__, __file__)
