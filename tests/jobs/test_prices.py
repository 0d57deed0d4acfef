"""What a job costs: the recorded prices, AWS's own, and the limits that follow from them."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from roadsense.errors import InputError
from roadsense.jobs.aws.prices import (
    cost_so_far,
    estimate_cost,
    find_price,
    limit_spot_price,
    limit_to_money,
    list_disk_price,
    list_price,
)
from roadsense.jobs.spec import JobSpec


def spec(**changes) -> JobSpec:
    given = {"notebook": "01_train", "target": "ec2", "output": "s3://cars/rs", "instance_type": "c6i.8xlarge"}
    return JobSpec(**{**given, "region": "us-east-1", **changes})


class PriceList(BaseHTTPRequestHandler):
    """Answers as AWS's price list does, for one machine, and writes down what it was asked."""

    asked: ClassVar[list[dict]] = []

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        terms = {"OnDemand": {"A.B": {"priceDimensions": {"A.B.C": dimension("1.7777")}}}}
        body = json.dumps({"FormatVersion": "aws_v1", "PriceList": [json.dumps({"terms": terms})]}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def dimension(usd: str) -> dict:
    return {"unit": "Hrs", "pricePerUnit": {"USD": usd}, "description": f"${usd} per On Demand Linux c6i.8xlarge Hour"}


@pytest.fixture
def price_list(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict]]:
    PriceList.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), PriceList)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", f"http://127.0.0.1:{server.server_port}")
    yield PriceList.asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("machine", "region", "usd"),
    [
        ("c6i.8xlarge", "us-east-1", 1.36),
        ("c6i.32xlarge", "us-east-1", 5.44),
        ("c7i.8xlarge", "us-east-1", 1.428),
        ("m6i.8xlarge", "us-west-2", 1.536),
        ("c6i.8xlarge", "eu-central-1", 1.552),
        ("c7i.12xlarge", "eu-west-1", 2.29824),
        ("ml.c5.9xlarge", "us-east-1", 1.836),
        ("ml.c6i.8xlarge", "ap-south-1", 1.632),
    ],
)
def test_recorded_prices_are_aws_list_prices(machine: str, region: str, usd: float) -> None:
    price = list_price(machine, region)
    assert price is not None
    assert price.usd_per_hour == pytest.approx(usd)
    assert "2026-" in price.source
    spot = list_price(machine, region, spot=True)
    assert spot is not None
    assert 0.2 * usd < spot.usd_per_hour < usd


def test_what_is_not_recorded_is_not_made_up() -> None:
    assert list_price("p5.48xlarge", "us-east-1") is None
    assert list_price("c6i.8xlarge", "mars-north-1") is None
    assert list_price("c6i.giant", "us-east-1") is None


def test_aws_is_asked_first(price_list: list[dict]) -> None:
    price = find_price("c6i.8xlarge", "us-east-1")
    assert price is not None
    assert price.usd_per_hour == 1.7777
    assert price.source.startswith("AWS's price list, 20")
    (asked,) = price_list
    wanted = {each["Field"]: each["Value"] for each in asked["Filters"]}
    assert asked["ServiceCode"] == "AmazonEC2"
    assert wanted["instanceType"] == "c6i.8xlarge"
    assert (wanted["regionCode"], wanted["operatingSystem"], wanted["tenancy"]) == ("us-east-1", "Linux", "Shared")


def test_sagemaker_has_prices_of_its_own(price_list: list[dict]) -> None:
    assert find_price("ml.c5.9xlarge", "us-east-1") is not None
    assert price_list[0]["ServiceCode"] == "AmazonSageMaker"


def test_the_recorded_price_stands_in_where_aws_does_not_answer(aws: str) -> None:
    price = find_price("c6i.8xlarge", "us-east-1")
    assert price is not None
    assert (price.usd_per_hour, price.source[:13]) == (pytest.approx(1.36), "price list of")


def test_an_estimate_holds_machine_disk_and_address(no_aws: None) -> None:
    estimate = estimate_cost(spec(max_hours=10), disk_gb=73, ask=False)
    assert estimate is not None
    assert estimate.usd_per_hour == pytest.approx(1.36 + 73 * 0.08 / 730 + 0.005)
    assert estimate.usd == pytest.approx(10 * estimate.usd_per_hour)
    assert str(estimate).startswith("at most 13.73 USD (1.373 USD an hour for 10 h; price list of 20")


def test_money_limits_the_hours(no_aws: None) -> None:
    estimate = estimate_cost(spec(), 60, ask=False)
    assert estimate is not None
    limited = limit_to_money(spec(max_usd=5.0), estimate)
    assert limited.max_hours * estimate.usd_per_hour == pytest.approx(5.0, rel=1e-3)
    assert limited.max_hours * estimate.usd_per_hour <= 5.0
    assert limit_to_money(spec(max_usd=500.0, max_hours=2), estimate).max_hours == 2
    assert limit_to_money(spec(), None).max_hours == spec().max_hours


def test_a_limit_that_cannot_hold_is_refused(no_aws: None) -> None:
    estimate = estimate_cost(spec(), 60, ask=False)
    with pytest.raises(InputError, match=r"max_usd of at least 0\.34"):
        limit_to_money(spec(max_usd=0.3), estimate)
    with pytest.raises(InputError, match="known price"):
        limit_to_money(spec(max_usd=3.0, instance_type="p5.48xlarge"), None)


def test_a_spot_machine_never_costs_more_than_its_limit(no_aws: None) -> None:
    wanted = spec(spot=True, max_usd=3.0)
    estimate = estimate_cost(wanted, 60, ask=False)
    assert estimate is not None
    limited, ceiling = limit_to_money(wanted, estimate), limit_spot_price(wanted, estimate)
    assert ceiling is not None
    others = list_disk_price("us-east-1", 60) + 0.005
    assert limited.max_hours * (ceiling + others) <= 3.0 + 1e-9
    assert ceiling > estimate.machine_usd_per_hour
    assert limit_spot_price(spec(spot=True), estimate) is None


def test_spot_on_sagemaker_is_bounded_by_the_price_on_demand(no_aws: None) -> None:
    wanted = spec(target="sagemaker", instance_type="ml.c5.9xlarge", max_usd=5.0)
    on_demand, spot = (estimate_cost(replace(wanted, spot=is_spot), 30, ask=False) for is_spot in (False, True))
    assert spot == on_demand
    assert spot is not None
    assert limit_to_money(replace(wanted, spot=True), spot).max_hours * spot.usd_per_hour <= 5.0


def test_a_machine_of_sagemaker_is_never_asked_of_ec2(price_list: list[dict]) -> None:
    wanted = spec(target="sagemaker", instance_type="ml.c5.9xlarge", spot=True)
    estimate = estimate_cost(wanted, 30, ask=True)
    assert estimate is not None
    assert [each["ServiceCode"] for each in price_list] == ["AmazonSageMaker"]
    assert estimate.machine_usd_per_hour == 1.7777


def test_the_running_cost_counts_at_least_a_minute() -> None:
    start = datetime(2026, 11, 26, 9, tzinfo=UTC)
    assert cost_so_far(start, 3.6, start + timedelta(hours=2)) == pytest.approx(7.2)
    assert cost_so_far(start, 3.6, start + timedelta(seconds=1)) == pytest.approx(0.06)
    assert cost_so_far(datetime.now(UTC) - timedelta(hours=1), 2.0) == pytest.approx(2.0, rel=0.01)
