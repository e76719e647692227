"""Scores of other libraries beside ours, each in its own module and imported on request."""
