"""Image sequences: numbered files read and written as a video."""
