"""The tests: each folder under `unit` mirrors a room."""
