"""Search strategies over the candidates of a space."""
