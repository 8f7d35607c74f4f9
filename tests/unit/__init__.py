"""Tests of one room at a time, in folders that mirror the rooms."""
