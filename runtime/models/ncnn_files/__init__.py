"""ncnn's two files as a state dict, and the folder in which converted weights are kept."""
