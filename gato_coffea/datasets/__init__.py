"""Files, cross sections and sums of weights: what coffea reads, and how it is normalised."""

from gato_coffea.datasets.filesets import (
    DATA_VARIABLE,
    PB_INVERSE_PER_FB_INVERSE,
    SAMPLED_BYTES,
    Fileset,
    data_folder,
    expand,
    features,
    fileset,
    normalisation,
    resolve_files,
    sum_of_tree,
    tree_name,
)

__all__ = [
    "DATA_VARIABLE",
    "PB_INVERSE_PER_FB_INVERSE",
    "SAMPLED_BYTES",
    "Fileset",
    "data_folder",
    "expand",
    "features",
    "fileset",
    "normalisation",
    "resolve_files",
    "sum_of_tree",
    "tree_name",
]
