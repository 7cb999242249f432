"""Whether survivors run now, or wait for those of the batch that runs next: by measured cost.

Every batch costs a start beside its rows. Survivors of two batches that run as one save the starts
of their stage and of those behind it, for everybody who waits; the price is paid by the survivors,
who wait for one batch more. Where starts are dear, as they may be on an accelerator, waiting pays
as soon as there is a queue; where a stage costs nearly the same per row in small batches, as on a
CPU, it hardly does.

How fast rows arrive counts by those that have arrived: the company that survivors wait for is the
batch that runs next. What has not arrived is no reason to wait, for nothing waits on a timer.
"""

from __future__ import annotations

# Of max_batch: with so many rows a batch gains little from more.
ENOUGH = 0.75
# The saving must be worth so many times the waiting. It is less sure: the company may leave before
# it is company, and be too few or too long to save a whole start. In simulations of Poisson and
# closed-loop load, with curves measured on a CPU and with invented ones whose starts are dear, 4
# was behind "deepest first" in p99 at light load, and 8 kept most of what holding longer won.
CAUTION = 8.0


def pays(
    *,
    held: int,
    others: int,
    seconds: float,
    restart: float,
    company: int,
    max_batch: int,
    overtaken: int = 0,
) -> bool:
    """Whether `held` survivors should wait while a batch of `company` rows runs before them.

    others: rows that wait in earlier stages.  seconds: of that batch.  restart: start cost, in
    seconds, of the survivors' stage and those behind it.  overtaken: batches that they have waited
    for already; each makes them dearer, so that a lone survivor does not wait for company that
    never comes.
    """
    if held >= ENOUGH * max_batch or company < held:
        return False
    return (held + others) * restart > CAUTION * (1 + overtaken) * held * seconds
