"""The functions between the services, each thin: parse, decide, perform one effect, return."""
