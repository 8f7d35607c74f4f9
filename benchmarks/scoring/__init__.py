"""Measures of a restored film, and a page for viewers."""
