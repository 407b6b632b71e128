"""Tries any client library against a server that plays by a script."""
