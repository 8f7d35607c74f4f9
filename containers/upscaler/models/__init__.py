"""Models: pictures in, larger pictures out. Tiles are here, engines below, colour in device/."""
