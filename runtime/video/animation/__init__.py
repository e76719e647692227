"""Animated images as videos: WebP read by Pillow; GIF, WebP and APNG written of lossless segments."""
