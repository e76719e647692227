"""What is done with a whole upscaled frame: color fix, blend with the plain enlargement, grain. No tile can show in it."""
