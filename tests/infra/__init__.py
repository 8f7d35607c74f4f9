"""What the Pulumi program declares, under Pulumi's mocks."""
