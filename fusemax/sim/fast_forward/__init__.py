"""Parts of a run that repeat are advanced at once, with the result of the full run."""
