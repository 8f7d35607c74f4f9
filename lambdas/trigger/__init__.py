"""Starts one execution for each uploaded object version."""
