"""Markdown tables."""

from roadsense.utils.tables import markdown_table


def test_a_table_has_a_head_and_escapes_bars():
    assert markdown_table(["a", "b"], [[1, "x|y"]]) == "| a | b |\n|---|---|\n| 1 | x\\|y |"
