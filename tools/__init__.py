"""Commands for developers: documents made from the program, and a trial on AWS."""
