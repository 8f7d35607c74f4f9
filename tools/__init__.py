"""Writes the documents that are made from the program: `make docs`."""
