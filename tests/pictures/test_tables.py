"""Tables in notebooks have words at the left and no index."""

import pandas as pd

from roadsense.pictures.tables import left_aligned


def test_words_and_their_heads_stand_at_the_left():
    page = left_aligned(pd.DataFrame({"count": [3], "reason": ["too late"]}), ["reason"]).to_html()
    assert "th.col1 {\n  text-align: left" in page
    assert "th.col0" not in page
    assert "row_heading" not in page
