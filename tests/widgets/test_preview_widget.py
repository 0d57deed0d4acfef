"""The preview as a notebook shows it: sliders that redraw, a draw that is kept, a picture where nobody watches."""

import base64

import pytest

from roadsense.augment.config import GenConfig
from roadsense.scenarios.dataset import Dataset
from roadsense.utils.progress import HEADLESS_VARIABLE
from roadsense.widgets.preview import PreviewWidget


@pytest.fixture
def widget(tiny_bases, dataset_copy):
    shown = PreviewWidget(GenConfig(base_dir=tiny_bases, output_dir=dataset_copy), density=1.2)
    yield shown
    shown.preview.close()


def test_a_slider_redraws_and_another_road_too(widget):
    pictures = [widget._picture.value]
    widget.controls["sigma"].value = 0.4999999999
    pictures.append(widget._picture.value)
    widget.controls["base"].value = "slow_road"
    pictures.append(widget._picture.value)
    assert len(set(pictures)) == 3
    assert widget.chosen.sigma == 0.5
    assert widget.base == "slow_road"


def test_a_kept_draw_is_in_the_dataset_with_the_sliders_values(widget, dataset_copy):
    before = len(Dataset.open(dataset_copy).scenarios)
    widget.controls["density"].value = 1.29
    widget.controls["seed"].value = 7
    widget._buttons["train"].click()
    dataset = Dataset.open(dataset_copy)
    if "Added" in widget.status:
        assert len(dataset.scenarios) == before + 1
        assert dataset.scenarios[-1].variation["levels"]["density"] == pytest.approx(1.29)
        assert dataset.verify() == []
    else:  # it lies too near to a held-out draw: said, and nothing is changed
        assert "Choose other values" in widget.status
        assert len(dataset.scenarios) == before


def test_sliders_have_the_bounds_of_the_road(widget):
    size, spacing, heavy = (widget.controls[name] for name in ("convoy_size", "convoy_spacing", "heavy_share"))
    assert not heavy.disabled
    widget.controls["base"].value = "slow_road"
    assert heavy.disabled
    assert (heavy.min, heavy.max, heavy.value) == (1.0, 1.0, 1.0)
    assert "trucks" in widget._limits.value
    assert widget.chosen.convoy_size == size.value
    assert widget.chosen.convoy_spacing == spacing.value
    widget.controls["base"].value = "fast_road"
    assert not heavy.disabled


def test_the_same_values_are_added_once(widget, dataset_copy):
    for seed in range(1, 9):
        widget.controls["seed"].value = seed
        widget._buttons["train"].click()
        if "Added" in widget.status:
            break
    n_added = len(Dataset.open(dataset_copy).scenarios)
    widget._buttons["train"].click()
    assert "in the dataset already" in widget.status
    assert len(Dataset.open(dataset_copy).scenarios) == n_added


def test_without_a_dataset_the_button_says_what_to_do(tiny_bases, tmp_path):
    widget = PreviewWidget(GenConfig(base_dir=tiny_bases, output_dir=tmp_path / "none"))
    widget._buttons["train"].click()
    assert "roadsense gen-scenarios" in widget.status
    assert not widget._buttons["simulate"].disabled


def test_a_run_that_nobody_watches_gets_a_picture_and_no_widget(widget, monkeypatch):
    view = "application/vnd.jupyter.widget-view+json"
    assert {view, "image/png", "text/plain"} == set(widget._repr_mimebundle_())
    monkeypatch.setenv(HEADLESS_VARIABLE, "1")
    bundle = widget._repr_mimebundle_()
    assert {"image/png", "text/plain"} == set(bundle)
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
