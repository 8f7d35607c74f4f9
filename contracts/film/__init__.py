"""What is known about a film on its way: facts, manifest, ledger, remarks."""
