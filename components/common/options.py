"""Resource options that several components share."""

import pulumi


def stateful(parent: pulumi.Resource, *, protect: bool) -> pulumi.ResourceOptions:
    """For what holds data: with `protect`, Pulumi refuses to delete it, and keeps it in AWS when it
    leaves the program."""
    return pulumi.ResourceOptions(parent=parent, protect=protect, retain_on_delete=protect)


def formerly(opts: pulumi.ResourceOptions, *names: str) -> pulumi.ResourceOptions:
    """For a component that had another name: Pulumi then moves it and all its children in its
    state instead of replacing them. Children inherit the alias, because their names begin with
    the component's."""
    aliases = [pulumi.Alias(name=name) for name in names]
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))
