"""Several mappings, models and lengths beside each other: comparisons, encoder layers, published studies."""
