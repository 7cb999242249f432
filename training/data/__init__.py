"""What training reads: labelled and unlabelled texts, from files and datasets, read strictly."""

from training.data.columns import Columns, find_texts
from training.data.errors import DataError
from training.data.labelled import listed, read_labelled
from training.data.source import source_name
from training.data.texts import LabelledTexts, Text
from training.data.unlabelled import read_unlabelled

__all__ = [
    "Columns",
    "DataError",
    "LabelledTexts",
    "Text",
    "find_texts",
    "listed",
    "read_labelled",
    "read_unlabelled",
    "source_name",
]
