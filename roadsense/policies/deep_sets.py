"""Order-free features of a set of peers (Zaheer et al., "Deep Sets", 2017), for Stable-Baselines3."""

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn


class DeepSetsExtractor(BaseFeaturesExtractor):
    """The ego's fields, and for each learned feature its largest value over the heard peers.

    The mask multiplies: the peer network ends in ReLU, so 0 means "no peer". That form is exact, exports to
    plain operators and survives quantisation, unlike a large negative number in the masked rows.

    Args:
        observation_space: space with `ego` (n,), `peers` (m, k) and `peer_mask` (m,).
        n_units: width of the peer network's two layers.
        sees_ego: whether the peer network takes the ego's fields beside each peer's, so that it can judge a distance
            at this speed before the maximum is taken. Trainings use it; policies of earlier versions do not.
    """

    def __init__(self, observation_space: spaces.Dict, n_units: int = 32, sees_ego: bool = False):
        n_ego = observation_space["ego"].shape[0]
        super().__init__(observation_space, features_dim=n_ego + n_units)
        self._sees_ego = sees_ego
        n_fields = observation_space["peers"].shape[1] + n_ego * sees_ego
        self.peer_network = nn.Sequential(
            nn.Linear(n_fields, n_units), nn.ReLU(), nn.Linear(n_units, n_units), nn.ReLU()
        )

    def forward(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """Returns features of shape (batch, n + n_units)."""
        # Rows in which no peer of the batch was heard are left out: they would be 0, the least value of ReLU.
        heard = observations["peer_mask"]
        places = heard.amax(dim=0).nonzero()
        n_places = int(places[-1]) + 1 if len(places) else 1
        ego, seen = observations["ego"], observations["peers"][:, :n_places]
        if self._sees_ego:
            seen = torch.cat([ego.unsqueeze(1).expand(-1, n_places, -1), seen], dim=2)
        peers = self.peer_network(seen) * heard[:, :n_places].unsqueeze(-1)
        return torch.cat([ego, peers.amax(dim=1)], dim=1)
