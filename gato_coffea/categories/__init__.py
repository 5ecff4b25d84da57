"""Trained categories: NumPy inference, JSON in and out."""

from gato_coffea.categories.trained import (
    BLOCK,
    LARGEST_END,
    LARGEST_TABLE,
    SCHEMA_VERSION,
    Categories,
    EdgeCategories,
    MixtureCategories,
    from_dict,
)

__all__ = [
    "BLOCK",
    "LARGEST_END",
    "LARGEST_TABLE",
    "SCHEMA_VERSION",
    "Categories",
    "EdgeCategories",
    "MixtureCategories",
    "from_dict",
]
