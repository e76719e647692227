"""Hand over to the command line. Python finds this file as ``upscale8k.__main__``."""

import sys
from importlib import import_module

if __name__ == "__main__":
    sys.exit(import_module(f"{__package__}.runtime.cli").main(sys.argv[1:]))
