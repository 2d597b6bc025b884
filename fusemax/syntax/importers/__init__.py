"""Files of other tools -> cascades."""
