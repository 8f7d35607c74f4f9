"""Measurements of speed, memory and picture quality."""
