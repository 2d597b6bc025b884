"""A bound mapping -> the program of its simulation: task streams, and the dependences, transfers and barriers between them."""
