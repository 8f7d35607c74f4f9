"""What runs a network: ncnn, PyTorch, spandrel."""
