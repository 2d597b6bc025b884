"""The text of a cascade -> `Cascade`."""
