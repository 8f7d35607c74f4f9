"""Scores for pictures, and a page for eyes."""
