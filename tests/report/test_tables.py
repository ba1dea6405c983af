"""The tables explain their columns as the scores were computed."""

from __future__ import annotations

from pbb.report.scoreboard import Scoreboard
from pbb.report.tables import paired_table


def test_holms_correction_is_explained_as_it_was_made() -> None:
    """Over the arms of one way of asking: neither over all ways, nor for each arm anew."""
    row = {
        "arm_a": "proactive",
        "arm_b": "mixed",
        "seed": 0,
        "group": "source_only",
        "split": "test",
        "ask": "trace",
    }
    row |= {"difference": 0.5, "low": 0.4, "high": 0.6, "p": 0.01, "p_holm": 0.02, "programs": 40}
    table = paired_table(Scoreboard({"tests": [row]}))
    assert table is not None
    help = {column.label: column.help for column in table.columns}
    assert help["Holm p"] == "corrected within a way of asking"
    assert table.groups == [
        (
            "proactive against mixed",
            [["trace", "w/o IO, held-out inputs", "+50.0", "40.0 to 60.0", "0.010", "0.020", "40"]],
        )
    ]
