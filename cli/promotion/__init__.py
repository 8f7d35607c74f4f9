"""Giving a stack the images and commit that another runs."""
