"""Buttons that answer while the kernel is busy with a cell.

JupyterLab sends what a widget says to a thread of its own in the kernel, a subshell. ipykernel 7.4 hands it on to the
loop that last used the widget, which is the busy one if a cell has made it. Here it stays in the subshell.
"""

from typing import Any

import ipywidgets as widgets


def answer_while_busy(widget: widgets.Widget) -> None:
    """Lets a widget's events be taken in the subshell that they are sent to; without subshells nothing changes.

    What its handlers do must be safe beside the running cell: a file is touched, say.
    """
    if widget.comm is not None and hasattr(widget.comm, "_reply_subshell_for"):
        widget.comm._reply_subshell_for = _as_sent


def _as_sent(_data: Any, subshell_id: str | None) -> str | None:
    return subshell_id
