"""Pictures as tensors, on whatever device computes: colour, resampling, HDR and grain.

Every sum here is made of single multiplications and additions in a fixed order, never of fused or
reordered ones, so the number of threads cannot change a bit.
"""
