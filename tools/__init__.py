"""Commands of those who develop: documents made from the program, and a test on AWS."""
