"""Resource options that several components share."""

import pulumi


def stateful(parent: pulumi.Resource, *, protect: bool) -> pulumi.ResourceOptions:
    """For what holds data: where protected, Pulumi refuses to delete it, and forgets it at most."""
    return pulumi.ResourceOptions(parent=parent, protect=protect, retain_on_delete=protect)


def formerly(opts: pulumi.ResourceOptions, *names: str) -> pulumi.ResourceOptions:
    """For a component that was called otherwise: Pulumi then moves it and all its children in its
    records instead of making them anew. Children inherit the alias, for their names begin with
    the component's."""
    aliases = [pulumi.Alias(name=name) for name in names]
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=aliases))
