"""The rules, pure: one module per subject over a unit of work."""
