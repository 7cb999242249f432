"""What benchmark commands can be told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch

from bench import datasets
from bench.datasets import DataSet
from offramp.errors import OfframpError
from training.backbone import DEFAULT
from training.settings import LargeSettings, SmallSettings, TrainSettings

UNUSABLE = 2

Chosen = TypeVar("Chosen", bound="Options")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of commands that train.

    data: the folder of all data sets.  work: where bundles and scores are kept.

    seeds: runs per data set; None for each set's own number.
    limit: train on so many texts; None for each set's own number.  threads: 0 for all cores.
    """

    data: Path
    sets: tuple[str, ...]
    seeds: int | None
    out: Path
    work: Path
    limit: int | None
    backbone: str
    small: str
    threads: int

    @property
    def data_sets(self) -> tuple[DataSet, ...]:
        """The sets asked for. Raises DataSetError."""
        return datasets.chosen(self.sets, self.data)

    def seeds_of(self, data_set: DataSet) -> range:
        """The seeds to run a set with."""
        return range(self.seeds or data_set.seeds)

    def training(
        self, data_set: DataSet, seed: int, exits: tuple[int, ...] | str | None
    ) -> TrainSettings:
        """How a bundle of a set is trained; where it goes is for `bench.bundles` to say."""
        return TrainSettings(
            data=datasets.training_file(data_set, self.data, self.work),
            out=self.work,
            name=f"{data_set.name}-{seed}",
            hold_out=data_set.hold_out,
            seed=seed,
            threads=self.threads,
            limit=self.limit or data_set.limit,
            export=False,
            large=LargeSettings(
                backbone=self.backbone,
                exits=exits,
                epochs=data_set.epochs,
                learning_rate=data_set.learning_rate,
            ),
            small=SmallSettings(kind=self.small),
        )


def plain_parser(description: str | None, examples: str) -> argparse.ArgumentParser:
    """A parser that knows nothing yet."""
    return argparse.ArgumentParser(
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def parser(description: str | None, examples: str, sets: Sequence[str]) -> argparse.ArgumentParser:
    """A parser for commands that train on `sets`, unless told of others."""
    found = plain_parser(description, examples)
    found.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with one folder per data set: DIR/sst2/train.tsv and so on",
    )
    found.add_argument(
        "--sets",
        type=_names,
        default=tuple(sets),
        metavar="NAME,NAME",
        help=f"of {','.join(datasets.NAMES)} (default: {','.join(sets)})",
    )
    found.add_argument(
        "--seeds",
        type=int,
        metavar="N",
        help="runs per set, seeds 0..N-1 (default: 3, large sets 1)",
    )
    add_out(found)
    found.add_argument(
        "--work",
        type=Path,
        default=Path("runs/bench"),
        metavar="DIR",
        help="where trained bundles are kept; the same command again reuses them, and goes on "
        "where it was killed (default: runs/bench)",
    )
    found.add_argument(
        "--limit", type=int, metavar="N", help="train on N texts of each set, for a first trial"
    )
    found.add_argument(
        "--backbone", default=DEFAULT, metavar="NAME", help=f"encoder of the large tier ({DEFAULT})"
    )
    found.add_argument(
        "--small",
        default=SmallSettings().kind,
        metavar="KIND",
        help=f"student of the small tier, as `offramp train` has it ({SmallSettings().kind})",
    )
    found.add_argument("--threads", type=int, default=0, metavar="N", help="0 for all cores")
    return found


def serving_parser(description: str | None, examples: str) -> argparse.ArgumentParser:
    """A parser for commands that send texts to a bundle."""
    found = plain_parser(description, examples)
    found.add_argument(
        "--data", type=Path, required=True, metavar="FILE", help="labelled texts to send"
    )
    found.add_argument(
        "--bundle",
        type=Path,
        default=Path("bundles/sentiment"),
        metavar="DIR",
        help="what serves (default: bundles/sentiment)",
    )
    return found


def add_in_flight(parser: argparse.ArgumentParser, *default: int) -> None:
    """How many callers there are, in turn."""
    parser.add_argument(
        "--in-flight",
        type=lambda written: tuple(int(number) for number in _names(written)),
        default=default,
        metavar="N,N",
        help=f"callers (default: {','.join(map(str, default))})",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """Where the tables of a command land."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("bench/results"),
        metavar="DIR",
        help="where the tables land, as Markdown and JSON (default: bench/results)",
    )


def run(main: Callable[[], None]) -> None:
    """Run a command; what cannot work is said in one line, with exit code 2."""
    try:
        main()
    except OfframpError as error:
        print(error, file=sys.stderr)
        sys.exit(UNUSABLE)


def names_of(kind: str, known: Collection[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads NAME,NAME where only some names are known. kind: what they are, in one word."""

    def read(written: str) -> tuple[str, ...]:
        names = _names(written)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"no {kind} {', '.join(unknown)}; there is {', '.join(known)}"
            )
        return names

    return read


def _names(written: str) -> tuple[str, ...]:
    return tuple(name for name in written.split(",") if name)


def read(kind: type[Chosen], arguments: argparse.Namespace) -> Chosen:
    """The options of a command from what its parser found; the threads are set at once."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    wanted: dict[str, Any] = {f.name: getattr(arguments, f.name) for f in fields(kind)}
    return kind(**wanted)
