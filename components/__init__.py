"""The infrastructure: Pulumi components, one folder per part of the pipeline.

Policies, event patterns and the state machine are pure functions; components only place them.
"""
