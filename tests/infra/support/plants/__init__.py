"""For every rule, ways to break it: what is broken, and what the rule then says."""

from tests.infra.support.plants import data, work

PLANTS = [*data.PLANTS, *work.PLANTS]
"""(rule, damage, what it says); None: nothing, for something else still holds the rule up."""
