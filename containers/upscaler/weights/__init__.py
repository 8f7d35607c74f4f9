"""Weights: converted once from a pinned package, checked by hash, written for ncnn."""
