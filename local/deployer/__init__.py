"""Deploys the unmodified Pulumi program into the embedded AWS, without Pulumi's engine.

Pulumi's mocks interface hands over each resource; a small handler per type creates it over boto3.
A type, a property or a question to AWS that has no handler here is an error that names it.
"""
