"""Networks that make frames between two, in the layout of their released weights."""
