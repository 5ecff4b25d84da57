"""Event categories with the best expected significance, learned inside a coffea analysis."""

__version__ = "0.1.0"
