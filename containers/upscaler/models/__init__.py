"""Models: pictures in, larger pictures out.

Tiling lives here, networks and the engines that run them in their folders, colour in `device/`.
"""
