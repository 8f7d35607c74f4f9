"""Records what the program declares, for tests to ask."""
