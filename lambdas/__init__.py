"""The functions between the services. Each is thin: parse, decide, perform one effect, return."""
