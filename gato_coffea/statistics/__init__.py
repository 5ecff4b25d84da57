"""Yields and the significance that they have. NumPy and SciPy only."""
