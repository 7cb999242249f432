"""`offramp train`: from a labelled file to a bundle that can be served."""

from cli.train.command import train
from cli.train.options import LabelColumn, PairColumn, TextColumn

__all__ = ["LabelColumn", "PairColumn", "TextColumn", "train"]
