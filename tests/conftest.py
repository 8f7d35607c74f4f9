"""What all tests share."""

from hypothesis import settings

# Machines are shared and noisy: no example is judged by its time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
