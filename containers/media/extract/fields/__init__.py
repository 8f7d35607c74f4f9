"""Interlaced and telecined film: found by its pictures, and planned."""
