"""A notebook open in JupyterLab, driven as its user does; its state is read from Lab's own model.

Lab paints only the cells near the viewport, so what cells have done cannot be told from the page.
"""

import re
import time

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
FIND = "path => [...jupyterapp.shell.widgets('main')].find(w => w.context && w.context.path === path)"
LOADED = f"""async path => {{ const w = ({FIND})(path); await w.context.ready; await w.revealed }}"""
READY = f"""async path => {{ const w = ({FIND})(path);
  await w.context.ready; await w.sessionContext.ready; await w.sessionContext.session.kernel.info;
  await w.revealed }}"""
STATE = f"""path => {{ const w = ({FIND})(path);
  const cells = [...w.content.model.cells].filter(c => c.type === 'code' && c.sharedModel.getSource().trim());
  const errors = [];
  for (const c of cells) for (let i = 0; i < c.outputs.length; i++) {{
    const o = c.outputs.get(i).toJSON(); if (o.output_type === 'error') errors.push(o.ename + ': ' + o.evalue) }}
  const done = cells.filter(c => c.executionCount && c.executionState !== 'running').length;
  return {{ n: cells.length, done, errors }} }}"""
SAVE = f"""async path => {{ const w = ({FIND})(path);
  await w.context.save(); await w.sessionContext.shutdown() }}"""
SET_CELL = f"""([path, mark, source]) => {{ const w = ({FIND})(path);
  const cell = [...w.content.model.cells].find(c => c.sharedModel.getSource().includes(mark));
  cell.sharedModel.setSource(source) }}"""
SHOW_CELL = f"""async ([path, mark]) => {{ const w = ({FIND})(path);
  const place = [...w.content.model.cells].findIndex(c => c.sharedModel.getSource().includes(mark));
  w.content.activeCellIndex = place; await w.content.scrollToItem(place, 'start'); return place }}"""


class NotebookPage:
    """A notebook, opened in a page of the browser, with a kernel that answers."""

    def __init__(self, page, lab, path, has_kernel=True):
        self.page, self.path = page, path
        page.goto(f"{lab.url}/lab/tree/{path}?token={lab.token}&reset")
        page.locator(f"{PANEL} .jp-Cell").first.wait_for()
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        page.evaluate(LOADED, path)
        if has_kernel:
            page.evaluate(READY, path)  # a "Run All" sent before the kernel is connected is silently lost

    @property
    def state(self):
        """Cells there are and cells that are done, and errors so far."""
        return self.page.evaluate(STATE, self.path)

    def set_parameters(self, **values):
        """Writes values into the parameters cell, as its user would."""
        lines = "\n".join(f"{name} = {value!r}" for name, value in values.items())
        source = self.page.evaluate(
            f"""path => [...({FIND})(path).content.model.cells].find(c =>
            (c.getMetadata('tags') || []).includes('parameters')).sharedModel.getSource()""",
            self.path,
        )
        self.page.evaluate(SET_CELL, [self.path, source, f"{source}\n{lines}"])

    def run_all(self):
        """Clicks Run > Run All Cells."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name=re.compile("^Run All Cells")).first.click()

    def save_and_shut_down(self):
        """Saves the notebook and ends its kernel, as somebody who leaves for the day."""
        self.page.evaluate(SAVE, self.path)

    def wait(self, seconds=120.0):
        """Waits until every cell is done.

        Raises:
            AssertionError: if a cell fails, or not all are done in time.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.state
            assert not state["errors"], state["errors"]
            if state["done"] == state["n"]:
                return
            self.page.wait_for_timeout(150)
        raise AssertionError(f"not done: {state}")

    def show(self, mark):
        """Scrolls to the cell with this text and returns its place on the page."""
        place = self.page.evaluate(SHOW_CELL, [self.path, mark])
        cell = self.page.locator(f'{PANEL} .jp-Cell[data-windowed-list-index="{place}"]')
        cell.wait_for()
        return cell
