"""Engines: the runtimes that run a network (ncnn, PyTorch, spandrel), and their devices."""
