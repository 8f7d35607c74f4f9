"""All that decides the bytes: output, encoder, model, where pictures come from."""
