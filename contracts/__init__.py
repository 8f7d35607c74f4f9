"""Every fact that two rooms of the pipeline must agree on stands here once.

Depends on pydantic alone; `components`, `lambdas`, `containers`, `cli` and `local` depend on it.
"""
