"""What tests put into an environment in a worker process, to break it. Imports nothing heavy: workers load it."""

import os
from dataclasses import dataclass


@dataclass
class ExitAfter:
    """Ends the process, without a word, at the n-th call."""

    n_calls: int

    def __call__(self, *_):
        self.n_calls -= 1
        if not self.n_calls:
            os._exit(3)
        return 0.0, False, False, {}


class DivideByZero:
    """Fails as a bug would."""

    def __call__(self, *_):
        return 1 / 0, {}
