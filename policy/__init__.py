"""What must hold for every resource of every stack: one definition for tests and `pulumi preview`.

`pulumi preview --policy-pack policy` runs the rules on what Pulumi is about to do, the tests run
them on what the program asks for under each stack's file.
"""
