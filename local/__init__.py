"""The embedded AWS: emulator, deployer and Batch's jobs on this machine."""
