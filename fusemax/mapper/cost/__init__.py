"""Costs of many candidates at once."""
