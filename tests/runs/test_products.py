"""What a program leaves is on its list."""

from pathlib import Path

from roadsense.jobs.inside.results import gather_products
from roadsense.runs.products import PRODUCTS_VARIABLE, read_products, record_product


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "summary.csv").write_text(folder.name)
    return folder


def test_nothing_is_noted_without_a_list(tmp_path, monkeypatch):
    monkeypatch.delenv(PRODUCTS_VARIABLE, raising=False)
    record_product(tmp_path)
    assert read_products(tmp_path / "list") == []


def test_a_second_evaluation_of_a_run_is_kept_and_the_first_is_not(tmp_path, monkeypatch):
    make(tmp_path / "run" / "evaluation")
    monkeypatch.setenv(PRODUCTS_VARIABLE, str(tmp_path / "list"))
    record_product(make(tmp_path / "run" / "evaluation_2"))
    record_product(tmp_path / "run" / "evaluation_2")
    record_product(make(tmp_path / "other run" / "export"))
    assert [folder.name for folder in read_products(tmp_path / "list")] == ["evaluation_2", "export"]
    gather_products(tmp_path / "list", tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["evaluation_2", "export"]
    assert (tmp_path / "model" / "evaluation_2" / "summary.csv").read_text() == "evaluation_2"
