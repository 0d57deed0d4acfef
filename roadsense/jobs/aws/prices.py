"""What a job may cost, before it starts and while it runs.

Prices come from AWS where it can be asked, else from `prices.json`, which says when it was recorded.
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
"""A job that its money pays for less than this is refused: a machine needs minutes of it to start."""
SPOT_HEADROOM = 1.2
"""With `max_usd`, a spot machine is given back when its price rises above this many times today's."""
PRICE_LIST_REGION = "us-east-1"
"""AWS's price list is served from a few regions, for all of them."""


@dataclass(frozen=True)
class Price:
    """What a machine costs.

    Attributes:
        usd_per_hour: US dollars an hour, without tax, disk and address.
        source: where it is from, with its date.
    """

    usd_per_hour: float
    source: str


@dataclass(frozen=True)
class Estimate:
    """What a job costs at most.

    Attributes:
        usd_per_hour: the machine with its disk and its address, US dollars.
        hours: after which it is ended, whatever it is doing.
        usd: at most, US dollars. Traffic out of AWS and storage in S3 come on top; for a model they are cents.
        source: where the price is from, with its date.
        machine_usd_per_hour: the machine alone, US dollars.
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
        instance_type: e.g. `c6i.8xlarge`, or `ml.c5.9xlarge` for SageMaker.
        region: of AWS.
        spot: whether it is spare capacity; then a typical price, which changes with the hour.
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


def count_cpus(instance_type: str) -> int | None:
    """Returns how many virtual processors a machine has, or None if its size isn't in the list."""
    larges = _read_prices()["larges"].get(instance_type.rsplit(".", 1)[-1])
    return None if larges is None else 2 * int(larges)


def find_price(instance_type: str, region: str, spot: bool = False) -> Price | None:
    """Returns the price of a machine now, asked of AWS; where it doesn't answer, the recorded one.

    A spot price is the highest of the region's zones.
    """
    try:
        asked = _ask_spot_price(instance_type, region) if spot else _ask_list_price(instance_type, region)
    except RoadSenseError:
        asked = None
    return asked or list_price(instance_type, region, spot)


def estimate_cost(spec: JobSpec, disk_gb: int, ask: bool = True, extra_hours: float = 0.0) -> Estimate | None:
    """Returns what a job costs at most, or None if its price isn't known.

    SageMaker takes no highest price for spare capacity, so the price on demand is the bound there.

    Args:
        spec: with its machine filled in.
        disk_gb: size of the machine's disk, GB (`gp3`).
        ask: whether to ask AWS for prices; otherwise the recorded ones are taken, and nothing is sent.
        extra_hours: the machine may run so long after the job's limit, to upload its results.
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
    """Returns a spec whose `max_hours`, with `extra_hours` behind it, is no more than its `max_usd` pays for.

    Raises:
        InputError: if the price isn't known, so that the limit could not be kept, or the money pays for less than a
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
    """Returns the price an hour above which a spot machine is to be given back, so that `max_usd` holds; else None."""
    if not spec.spot or spec.max_usd is None or estimate is None:
        return None
    others = estimate.usd_per_hour - estimate.machine_usd_per_hour
    return estimate.usd_per_hour * SPOT_HEADROOM - others


def cost_so_far(started: datetime, usd_per_hour: float, ended: datetime | None = None) -> float:
    """Returns what has been spent since a machine started, US dollars. AWS charges by the second, for 60 at least."""
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
    """Yields the prices an hour of a product of AWS's price list."""
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if dimension["unit"].lower() in ("hrs", "hours", "hour"):
                yield float(dimension["pricePerUnit"]["USD"])
