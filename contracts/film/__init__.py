"""What is known of a film on its way: facts, manifest, ledger, remarks."""
