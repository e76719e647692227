"""Convert a workflow saved by the canvas to an API prompt."""
