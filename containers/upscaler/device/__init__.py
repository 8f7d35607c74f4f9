"""Pictures as tensors on the device that computes: colour, resampling, HDR and grain.

Every sum consists of single multiplications and additions in a fixed order, never fused or
reordered, so the number of threads cannot change a bit.
"""
