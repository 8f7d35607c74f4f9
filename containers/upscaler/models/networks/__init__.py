"""The catalogue's networks in plain PyTorch, one module for each family."""
