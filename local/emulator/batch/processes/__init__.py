"""Jobs as processes of this machine, started early where that saves time."""
