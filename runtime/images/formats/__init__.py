"""One module for each image file format that needs code of its own."""
