"""Every fact that two rooms of the pipeline must agree on, written down once.

It depends only on pydantic; `components`, `lambdas`, `containers`, `cli` and `local` depend on it.
"""
