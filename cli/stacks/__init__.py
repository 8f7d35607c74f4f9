"""Stacks as the command line reaches them: deployed on AWS, or embedded on this machine."""
