"""Outside ComfyUI a checkout has no import name; this gives it the one that ``pip install`` would."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

PACK_NAME = "upscale8k"


def load_pack() -> ModuleType:
    """Import the checkout root as package ``upscale8k``, the way ComfyUI imports it from custom_nodes/.

    Returns the package; a second call returns the same one.
    """
    if PACK_NAME in sys.modules:
        return sys.modules[PACK_NAME]
    root = Path(__file__).resolve().parent.parent
    # Our `nodes` and `models` folders must not answer to those top-level names.
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != root]
    spec = spec_from_file_location(PACK_NAME, root / "__init__.py", submodule_search_locations=[str(root)])
    if spec is None or spec.loader is None:
        raise ImportError(f"{root} is not a checkout of {PACK_NAME}: it has no __init__.py")
    pack = module_from_spec(spec)
    sys.modules[PACK_NAME] = pack
    spec.loader.exec_module(pack)
    return pack
