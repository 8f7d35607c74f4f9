"""Tests of the policy pack: each rule, and ways to break it."""
