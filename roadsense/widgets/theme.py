"""The look of a notebook: pictures follow JupyterLab's dark theme, sliders and figures have names for screen readers.

Widgets without a kernel are greyed out.
"""

from IPython.display import display

from roadsense.utils.progress import is_headless

CLASS = "roadsense-theme"
"""Class that the script gives to the notebook around its output; other notebooks stay as they are."""
STYLE = f"""
body[data-jp-theme-light="false"] .{CLASS} .jp-OutputArea-output img {{
  filter: invert(.94) hue-rotate(180deg) brightness(1.25) saturate(1.4);
}}
.{CLASS} .jp-OutputArea-output pre {{ word-break: normal; overflow-wrap: break-word; }}
.{CLASS} .jupyter-widgets-disconnected::before {{ content: none; }}
.{CLASS} :is(.widget-slider, .widget-dropdown, .widget-button).jupyter-widgets-disconnected {{
  opacity: .45; pointer-events: none;
}}
"""
"""Charts are inverted with their hues kept: blue stays blue, and white becomes the theme's black."""
SCRIPT = f"""
requestAnimationFrame(() => {{
  const notebook = element.closest(".jp-Notebook, .jp-NotebookPanel") || document.body;
  notebook.classList.add("{CLASS}");
  const name = () => {{
    for (const handle of notebook.querySelectorAll(".widget-slider [role=slider]:not([aria-label])"))
      handle.setAttribute("aria-label", handle.closest(".widget-slider").querySelector(".widget-label").textContent);
    for (const figure of notebook.querySelectorAll(".jp-OutputArea-output img:not([alt]), img[alt='']")) {{
      const cell = figure.closest(".jp-CodeCell"), code = cell && cell.querySelector(".cm-content");
      figure.alt = "Figure" + (code ? ` of ${{code.textContent}}` : "");
    }}
  }};
  new MutationObserver(name).observe(notebook, {{ childList: true, subtree: true }});
  name();
  if (document.getElementById("{CLASS}")) return;
  const style = document.createElement("style");
  style.id = "{CLASS}";
  style.textContent = `{STYLE}`;
  document.head.append(style);
}});
"""


def follow_theme() -> None:
    """Lets this notebook's figures follow JupyterLab's theme: dark on dark, light on light.

    It also gives sliders and figures names for screen readers, and greys out the widgets of a closed kernel, without a
    broken link beside each.

    Examples:
        >>> from roadsense import widgets
        >>> widgets.follow_theme()
    """
    if not is_headless():
        display({"application/javascript": SCRIPT, "text/plain": ""}, raw=True)
