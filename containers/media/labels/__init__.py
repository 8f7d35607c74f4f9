"""What is not pixels: streams, text, captions, HDR, orientation."""
