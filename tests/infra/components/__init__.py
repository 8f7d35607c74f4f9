"""Tests of each component's resources."""
