"""The terminal program: a conversation, and commands for scripts."""
