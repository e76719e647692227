"""What looks at several frames of a video before they are upscaled, in constant memory."""
