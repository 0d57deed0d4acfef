"""A link leads from the notebook's folder to a file; without JupyterLab its path is shown."""

from roadsense.utils.progress import HEADLESS_VARIABLE
from roadsense.widgets import theme
from roadsense.widgets.links import link_to


def test_a_link_leads_from_the_folder_of_the_notebook(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    bundle = link_to(tmp_path / "runs" / "my run" / "report.html")._repr_mimebundle_()
    assert bundle["text/markdown"] == "[report.html](<../runs/my%20run/report.html>)"
    monkeypatch.setenv(HEADLESS_VARIABLE, "1")
    bundle = link_to(tmp_path / "report.html")._repr_mimebundle_()
    assert bundle == {"text/plain": str(tmp_path / "report.html")}


def test_the_theme_leaves_no_words_in_a_saved_notebook(monkeypatch):
    shown = []
    monkeypatch.setattr(theme, "display", lambda bundle, raw: shown.append(bundle))
    theme.follow_theme()
    (bundle,) = shown
    assert bundle.pop("text/plain") == ""
    assert list(bundle) == ["application/javascript"]
    monkeypatch.setenv(HEADLESS_VARIABLE, "1")
    theme.follow_theme()
    assert len(shown) == 1
