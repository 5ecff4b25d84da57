"""Events as NumPy values: features, samples, cells, weighted points and folds."""
