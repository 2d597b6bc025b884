"""Spaces of mappings: generated from a cascade and an architecture, or left open by a template."""
