"""Jobs as processes of this machine, started ahead where that saves time."""
