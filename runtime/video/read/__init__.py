"""Open, probe and decode a video, with exact timestamps."""
