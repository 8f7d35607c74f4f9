"""Tests of `containers/common/`."""
