"""The data sets of the benchmarks: their files, how they are read, and how each is trained on.

A folder holds one folder per data set; a file has one header line, `label<TAB>text` or
`label<TAB>text_a<TAB>text_b`, and no quoting.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offramp.errors import OfframpError
from training.data import LabelledTexts, Text

PUNCTUATION = re.compile(r"[^\w\s'-]+")


class DataSetError(OfframpError):
    """A data set that is not known or whose files are not there."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """One data set and the settings that it is trained with.

    train, test: paths under the folder of all data sets.
    seeds: runs that its figures are the mean of, unless the command says otherwise.
    epochs, learning_rate: of the large tier.  hold_out: share kept from both models.
    limit: train on so many texts, drawn at random; None for all of them.
    tested: likewise, of the test file.
    bare: take punctuation out of the training texts, where the test texts have none.
    """

    name: str
    title: str
    train: str
    test: str
    seeds: int
    epochs: int = 3
    learning_rate: float = 5e-5
    hold_out: float = 0.2
    limit: int | None = None
    tested: int | None = None
    bare: bool = False


# Settings by size, never by a look at a test file. Small sets hold out more, since a threshold
# chosen on a hundred texts is mostly noise. They also need more steps: three passes over 2,000
# pairs are 200 steps, too few to settle, and fine-tuning on so little is unstable until some 20
# passes (Mosbach et al. 2021, arXiv 2006.04884). IMDB's texts are ten times as long as the others:
# fewer of them are hours less for a processor. `bench.recipes` with --epochs and --learning-rates
# compares others on held-out parts.
DATA_SETS = (
    DataSet("sst2", "SST-2", "sst2/train.tsv", "sst2/dev.tsv", seeds=1),
    DataSet("ag_news", "AG News", "ag_news/train.tsv", "ag_news/test.tsv", seeds=1, epochs=4),
    DataSet(
        "imdb", "IMDB", "imdb/train.tsv", "imdb/test.tsv",
        seeds=1, limit=6_000, tested=5_000,
    ),
    DataSet(
        "qnli", "QNLI", "qnli/train.tsv", "qnli/dev.tsv", seeds=1, epochs=5
    ),
    DataSet(
        "mrpc", "MRPC", "mrpc/train.tsv", "mrpc/test.tsv",
        seeds=3, epochs=8, hold_out=0.25,
    ),
    DataSet(
        "rte", "RTE", "rte/train.tsv", "rte/dev.tsv",
        seeds=3, epochs=10, hold_out=0.25,
    ),
    # The training pairs are written normally, the test pairs without punctuation.
    DataSet(
        "snli", "SNLI", "cad_snli_revised/train.tsv", "snli/test.tsv",
        seeds=1, epochs=8, bare=True,
    ),
)  # fmt: skip
NAMES = tuple(found.name for found in DATA_SETS)


def chosen(names: Sequence[str], folder: Path) -> tuple[DataSet, ...]:
    """The data sets of those names; DataSetError where one is unknown or a file is missing."""
    by_name = {found.name: found for found in DATA_SETS}
    unknown = [name for name in names if name not in by_name]
    if unknown or not names:
        raise DataSetError(f"no data set {', '.join(unknown)}; there is: {', '.join(NAMES)}")
    sets = tuple(by_name[name] for name in names)
    missing = [p for s in sets for p in (s.train, s.test) if not (folder / p).is_file()]
    if missing:
        raise DataSetError(f"{folder} lacks {', '.join(missing)}; name its folder with --data")
    return sets


def training_file(data_set: DataSet, folder: Path, work: Path) -> Path:
    """The file to train on: the set's own, or a copy of it in `work` without punctuation."""
    source = folder / data_set.train
    if not data_set.bare:
        return source
    header, *rows = _rows(source)
    stripped = [
        [row[0], *(PUNCTUATION.sub(" ", cell).strip() or cell for cell in row[1:])] for row in rows
    ]
    return _written(work / f"{data_set.name}-train.tsv", [header, *stripped])


def test_file(data_set: DataSet, folder: Path, work: Path) -> Path:
    """The file to be measured on: the set's own, or a copy in `work` of rows drawn from it."""
    source = folder / data_set.test
    if data_set.tested is None:
        return source
    header, *rows = _rows(source)
    drawn = np.random.default_rng(0).permutation(len(rows))[: data_set.tested]
    return _written(work / f"{data_set.name}-test.tsv", [header, *(rows[i] for i in drawn)])


def read_test(path: Path, label_names: Sequence[str]) -> LabelledTexts:
    """Every row of a labelled file, in its order; duplicates stay, for the file is what is scored.

    Raises DataSetError for a label that is not among `label_names`.
    """
    _, *rows = _rows(path)
    index = {name: place for place, name in enumerate(label_names)}
    unknown = sorted({row[0] for row in rows} - set(index))
    if unknown:
        raise DataSetError(
            f"{path}: labels {unknown} are not among those trained on: {label_names}"
        )
    targets = np.zeros((len(rows), len(index)), dtype=np.float32)
    targets[np.arange(len(rows)), [index[row[0]] for row in rows]] = 1
    texts = tuple(Text(row[1], row[2] if len(row) > 2 else None) for row in rows)
    return LabelledTexts(texts, targets, tuple(label_names))


def _written(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")
    return path


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
