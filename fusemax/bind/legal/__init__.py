"""Mappings that no sizes make legal: their tree, dependences, fusions and storage."""
