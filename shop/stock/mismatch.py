"""How a figure that is off is named: the table, the row, the field, and both figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One figure that differs: `field` of `row` in `table` is `found`, and `by` says it should be `expected`."""

    table: str
    row: str
    field: str
    found: int | str
    expected: int | str
    by: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}: {self.field} is {self.found}, {self.by} says {self.expected}"


def differ(
    table: str, row: str, fields: tuple[str, ...], found: tuple[int, ...], expected: tuple[int, ...], by: str
) -> Iterator[Mismatch]:
    """One mismatch for each field whose figures are not the same."""
    for field, here, there in zip(fields, found, expected, strict=True):
        if here != there:
            yield Mismatch(table, row, field, here, there, by)
