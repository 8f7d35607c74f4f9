"""What all parts of a stack's settings have in common."""

from pydantic import ConfigDict

from contracts.base import Contract


class SettingsPart(Contract):
    """The text under a field is its description, in Pulumi.yaml and in docs/deploy.md too."""

    model_config = ConfigDict(use_attribute_docstrings=True)
