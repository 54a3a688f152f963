"""Tables that leave the shop: a spreadsheet reads them, adds their numbers up, and runs nothing that a stranger has written."""

from __future__ import annotations

import csv
import io

from gateway.records import table

WILD = ["=1+1", "+82 10 1234 5678", "-2+3", "@SUM(A1)", "＝1+1", "\t=1", "\r=1", "\n=1"]
TAME = ["-2", "0", "12", "", 'Kim, "Minji"', "a=1"]


def test_no_cell_is_a_formula_and_a_number_stays_one() -> None:
    (read,) = csv.reader(io.StringIO(table([(*WILD, *TAME)]), newline=""))
    assert read == [*(f"'{cell}" for cell in WILD), *TAME]
