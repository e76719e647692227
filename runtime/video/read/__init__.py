"""Open, probe and decode videos, with exact timestamps."""
