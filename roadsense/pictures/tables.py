"""Tables in notebooks: words stand at the left, numbers at the right."""

from collections.abc import Hashable

import pandas as pd
from pandas.io.formats.style import Styler
from pandas.io.formats.style_render import CSSDict


def left_aligned(table: pd.DataFrame, words: list[Hashable]) -> Styler:
    """Returns a table to show, without its index, with the columns of words aligned at the left."""
    places = [place for place, column in enumerate(table.columns) if column in words]
    heads: list[CSSDict] = [{"selector": f"th.col{place}", "props": "text-align: left"} for place in places]
    return table.style.hide().set_properties(subset=words, **{"text-align": "left"}).set_table_styles(heads)
