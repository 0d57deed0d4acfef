"""Estimates the cost of a job before it starts and while it runs.

Prices come from AWS if it answers, else from `prices.json`, which gives the date of its prices.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from roadsense.cloud.session import find_region, make_client, translate_errors
from roadsense.errors import InputError, RoadSenseError
from roadsense.jobs.spec import JobSpec

HOURS_PER_MONTH = 730.0
SHORTEST_HOURS = 0.25
"""Shortest time that `max_usd` must pay for, hours; a machine needs minutes of it to start."""
SPOT_HEADROOM = 1.2
"""With `max_usd`, a spot machine is given back when its price rises above this multiple of today's price."""
PRICE_LIST_REGION = "us-east-1"
"""Region that serves AWS's price list for all regions."""


@dataclass(frozen=True)
class Price:
    """The price of a machine.

    Attributes:
        usd_per_hour: price without tax, disk and address, US dollars an hour.
        source: source of the price, with its date.
    """

    usd_per_hour: float
    source: str


@dataclass(frozen=True)
class Estimate:
    """The highest cost of a job.

    Attributes:
        usd_per_hour: price of the machine with its disk and address, US dollars an hour.
        hours: time after which the machine is ended in any case, hours.
        usd: highest cost, US dollars. Traffic out of AWS and storage in S3 are extra; for a model they are cents.
        source: source of the price, with its date.
        machine_usd_per_hour: price of the machine alone, US dollars an hour.
    """

    usd_per_hour: float
    hours: float
    usd: float
    source: str
    machine_usd_per_hour: float

    def __str__(self) -> str:
        hours = round(self.hours, 2)
        return f"at most {self.usd:.2f} USD ({self.usd_per_hour:.3f} USD an hour for {hours:g} h; {self.source})"


def list_price(instance_type: str, region: str, spot: bool = False) -> Price | None:
    """Returns the recorded price of a machine, or None if its type or region isn't in the list.

    Args:
        instance_type: machine type, e.g. `c6i.8xlarge`, or `ml.c5.9xlarge` for SageMaker.
        region: AWS region.
        spot: whether it is spare capacity; then a typical price, which changes over time.
    """
    prices = _read_prices()
    is_sagemaker = instance_type.startswith("ml.")
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    per_large = prices["regions"].get(region, {}).get(family)
    if per_large is None or size not in prices["larges"]:
        return None
    usd = per_large * prices["larges"][size] * (prices["sagemaker_factor"] if is_sagemaker else 1.0)
    kind = f"list of {prices['recorded']}"
    if spot:
        return Price(usd * prices["typical_spot_share"], f"typical spot price, {kind}")
    return Price(usd, f"price {kind}")


def find_price(instance_type: str, region: str, spot: bool = False) -> Price | None:
    """Returns the present price of a machine from AWS, or the recorded one if AWS doesn't answer.

    A spot price is the highest of the region's zones.
    """
    try:
        asked = _ask_spot_price(instance_type, region) if spot else _ask_list_price(instance_type, region)
    except RoadSenseError:
        asked = None
    return asked or list_price(instance_type, region, spot)


def estimate_cost(spec: JobSpec, disk_gb: int, ask: bool = True, extra_hours: float = 0.0) -> Estimate | None:
    """Returns the highest cost of a job, or None if its price isn't known.

    SageMaker accepts no price limit for spare capacity, so the on-demand price is the bound there.

    Args:
        spec: spec with the machine type filled in.
        disk_gb: size of the machine's disk, GB (`gp3`).
        ask: whether to ask AWS for prices; otherwise recorded prices are used, and nothing is sent.
        extra_hours: longest time that the machine runs after the job's limit, to upload results, hours.
    """
    region, machine = find_region(spec.region), spec.instance_type or ""
    is_spot = spec.spot and spec.target == "ec2"
    price = find_price(machine, region, is_spot) if ask else list_price(machine, region, is_spot)
    if price is None:
        return None
    usd_per_hour = price.usd_per_hour + list_disk_price(region, disk_gb)
    if spec.target == "ec2":
        usd_per_hour += _read_prices()["public_ipv4_usd_per_hour"]
    hours = spec.limit_s / 3600 + extra_hours
    return Estimate(usd_per_hour, hours, usd_per_hour * hours, price.source, price.usd_per_hour)


def list_disk_price(region: str, disk_gb: float) -> float:
    """Returns the recorded price of a disk (`gp3`), US dollars an hour; in an unlisted region the highest one."""
    regions = _read_prices()["regions"]
    prices = [regions[region]] if region in regions else regions.values()
    return max(each["gp3_gb_month"] for each in prices) * disk_gb / HOURS_PER_MONTH


def limit_to_money(spec: JobSpec, estimate: Estimate | None, extra_hours: float = 0.0) -> JobSpec:
    """Returns a spec with `max_hours` limited, so that `max_usd` pays for `max_hours` and `extra_hours`.

    Raises:
        InputError: if the price isn't known, so that the limit cannot be kept, or the money pays for less than a
            quarter of an hour.
    """
    if spec.max_usd is None:
        return spec
    if estimate is None:
        raise InputError(
            f"Expected a machine of known price for max_usd, got {spec.instance_type} in {find_region(spec.region)}. "
            "Leave max_usd out and limit max_hours, or take another machine."
        )
    usd_per_hour = estimate.usd_per_hour * (SPOT_HEADROOM if spec.spot and spec.target == "ec2" else 1.0)
    hours = math.floor(3600 * (spec.max_usd / usd_per_hour - extra_hours)) / 3600
    if hours < SHORTEST_HOURS:
        raise InputError(
            f"Expected max_usd of at least {(SHORTEST_HOURS + extra_hours) * usd_per_hour:.2f} (a quarter of an hour "
            f"of {spec.instance_type}, {estimate.source}), got {spec.max_usd:g}."
        )
    return replace(spec, max_hours=min(spec.max_hours, hours))


def limit_spot_price(spec: JobSpec, estimate: Estimate | None) -> float | None:
    """Returns the highest hourly price of a spot machine within `max_usd`, US dollars; None if there is no limit."""
    if not spec.spot or spec.max_usd is None or estimate is None:
        return None
    others = estimate.usd_per_hour - estimate.machine_usd_per_hour
    return estimate.usd_per_hour * SPOT_HEADROOM - others


def cost_so_far(started: datetime, usd_per_hour: float, ended: datetime | None = None) -> float:
    """Returns a machine's cost since its start, US dollars. AWS charges by the second, at least 60."""
    seconds = ((ended or datetime.now(UTC)) - started).total_seconds()
    return max(60.0, seconds) / 3600.0 * usd_per_hour


@cache
def _read_prices() -> dict[str, Any]:
    return json.loads((files("roadsense.jobs.aws") / "prices.json").read_text(encoding="utf-8"))


def _ask_spot_price(instance_type: str, region: str) -> Price | None:
    now = datetime.now(UTC)
    with translate_errors():
        answer = make_client("ec2", region, patient=False).describe_spot_price_history(
            InstanceTypes=[instance_type], ProductDescriptions=["Linux/UNIX"], StartTime=now, EndTime=now
        )
    prices = [float(each["SpotPrice"]) for each in answer["SpotPriceHistory"]]
    return Price(max(prices), f"spot price of {now:%Y-%m-%d %H:%M} UTC") if prices else None


def _ask_list_price(instance_type: str, region: str) -> Price | None:
    if instance_type.startswith("ml."):
        service, wanted = "AmazonSageMaker", {"instanceName": instance_type, "component": "Training"}
    else:
        service = "AmazonEC2"
        wanted = {"instanceType": instance_type, "operatingSystem": "Linux", "tenancy": "Shared"}
        wanted |= {"preInstalledSw": "NA", "capacitystatus": "Used"}
    wanted["regionCode"] = region
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    with translate_errors():
        client = make_client("pricing", PRICE_LIST_REGION, patient=False)
        answer = client.get_products(ServiceCode=service, Filters=filters)
    prices = [usd for product in answer["PriceList"] for usd in _read_hourly(json.loads(product)) if usd > 0]
    return Price(max(prices), f"AWS's price list, {datetime.now(UTC):%Y-%m-%d}") if prices else None


def _read_hourly(product: dict[str, Any]) -> Iterator[float]:
    """Yields the hourly prices of a product in AWS's price list."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if dimension["unit"].lower() in ("hrs", "hours", "hour"):
                yield float(dimension["pricePerUnit"]["USD"])
