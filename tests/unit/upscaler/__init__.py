"""Tests of `containers/upscaler/`, by its rooms."""
