"""Strategies: each is a module that registers a function by its name, in the order in which messages list them."""

from fusemax.mapper.search import exhaustive  # isort: skip
from fusemax.mapper.search import anneal  # isort: skip

__all__ = ["anneal", "exhaustive"]
