"""The basis of the verdicts: summary and comparisons of an evaluation, and the wording of their figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from roadsense.episodes.plan import POLICY
from roadsense.evaluation.comparison import WORSE
from roadsense.evaluation.policies import RULE
from roadsense.utils.statistics import Interval

GOOD, BAD, OPEN = "good", "bad", "open"
"""Marks of a sentence: shown and for the policy, shown and against it, not shown."""
ALONE = "unassisted"
Said = Iterator[tuple[str, str]]
"""Marks and sentences."""


@dataclass(frozen=True)
class Evidence:
    """The figures that the verdict rules use.

    Attributes:
        summary: figures of the held-out episodes, a row for each policy, by name.
        comparisons: comparisons of the judged policy with others, see `compare_policies`.
        claimed_rate: claimed upper limit of the policy's collision rate, above 0 and below 1.
        checks_on: summary of the same episodes with SUMO's checks on, or empty.
        gap: collision rate on held-out minus that on train scenarios, or None.
        failures_by_base: numbers of the judged policy's collisions and episodes, by base road.
        unseen: summary of the episodes on roads that no training has seen, or empty.
        unseen_comparisons: comparisons of the judged policy with others on these roads.
        conditions: the same of the episodes in each other condition, by its label.
    """

    summary: pd.DataFrame
    comparisons: pd.DataFrame
    claimed_rate: float = 0.01
    checks_on: pd.DataFrame = field(default_factory=pd.DataFrame)
    gap: Interval | None = None
    failures_by_base: dict[str, tuple[int, int]] = field(default_factory=dict)
    unseen: pd.DataFrame = field(default_factory=pd.DataFrame)
    unseen_comparisons: pd.DataFrame = field(default_factory=pd.DataFrame)
    conditions: Mapping[str, "Evidence"] = field(default_factory=dict)

    @property
    def own(self) -> dict[str, Any]:
        """The judged policy's figures."""
        return self.row(POLICY)

    def row(self, policy: str) -> dict[str, Any]:
        """Returns a policy's figures."""
        return {str(name): value for name, value in self.summary.loc[policy].items()}

    def of_kind(self, kind: str) -> list[str]:
        """Returns the policies of a kind, see `PolicyRecord`."""
        return [name for name in map(str, self.summary.index) if self.summary.loc[name, "kind"] == kind]

    def best_rule(self) -> str | None:
        """Returns the rule with the best score, see `roadsense.episodes.score`."""
        rules = self.of_kind(RULE)
        return max(rules, key=lambda name: self.row(name)["score"]) if rules else None

    def compared(self, figure: str, second: str) -> dict[str, Any] | None:
        """Returns the comparison with another policy in a figure, or None."""
        if self.comparisons.empty:
            return None
        rows = self.comparisons[(self.comparisons["figure"] == figure) & (self.comparisons["second"] == second)]
        return {str(name): value for name, value in rows.iloc[0].items()} if len(rows) else None

    def on_unseen_roads(self) -> "Evidence | None":
        """Returns the same for the roads that no training has seen; None if the policy did not drive there."""
        if POLICY not in self.unseen.index or not self.unseen.loc[POLICY, "episodes"]:
            return None
        return Evidence(self.unseen, self.unseen_comparisons, self.claimed_rate)

    def elsewhere(self) -> dict[str, "Evidence"]:
        """Returns the same for everything that is not home: the other conditions and the unseen roads, by label."""
        unseen = self.on_unseen_roads()
        return {**self.conditions, **({} if unseen is None else {"on unseen roads": unseen})}

    def contradictions(self, figure: str, second: str) -> list[str]:
        """Returns where away from home the judged policy is shown to be worse than another in a figure."""
        found = {label: evidence.compared(figure, second) for label, evidence in self.elsewhere().items()}
        return [label for label, row in found.items() if row is not None and row["verdict"] == WORSE]

    def others(self, *names: str) -> list[str]:
        """Returns the named policies that were driven."""
        return [name for name in names if name in self.summary.index]


def points(found: dict[str, Any]) -> str:
    """Returns a difference of rates with its interval, in percentage points."""
    return f"{100 * found['difference']:+.1f} points, {100 * found['low']:+.1f} to {100 * found['high']:+.1f}"


def more_pairs(found: dict[str, Any]) -> str:
    """Returns how many more episodes would show a difference."""
    more = found["more_pairs"]
    if more is None or pd.isna(more):
        return "More episodes like these would show no difference."
    if more == 0:
        return "Alone it would be shown; among all policies that are compared it is not."
    return f"It needs {more:.0f} more episodes to show one, if they go on as these did."
