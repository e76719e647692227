"""``python -m runtime ...``: load the checkout as one package, then hand over to its command line."""

import sys
from importlib import import_module

from .bootstrap import load_pack

if __name__ == "__main__":
    pack = load_pack()
    # Only these two files go by the top-level name `runtime`; everything else exists once, inside the pack.
    sys.exit(import_module(f"{pack.__name__}.runtime.cli").main(sys.argv[1:]))
