"""What holds across rooms: imports, documents, environments, workflows, images."""
