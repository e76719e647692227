"""Make the pictures in this folder from photographs that scikit-image carries: ``python workflows/media/make_samples.py``."""

from pathlib import Path

from PIL import Image
from skimage import data

HERE = Path(__file__).resolve().parent

# A cup of coffee, by Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0: data.coffee(). Cut to 16:9, so that it becomes
# 7680 x 4320 exactly after two passes of a 4x model, the second of them over 1920 x 1080 pixels.
Image.fromarray(data.coffee()).crop((60, 65, 540, 335)).save(HERE / "sample.png", optimize=True)
