"""Expert-parallel load balancing for Mixture-of-Experts engines.

`rebalance_experts` is DeepSeek's function, with the same arguments and results, for numpy arrays and
torch tensors.
"""

from eplb._eplb import __version__
from eplb._errors import ArgumentError, Error, PolicyError, SystemFailure
from eplb._rebalance import rebalance_experts

__all__ = [
    "ArgumentError",
    "Error",
    "PolicyError",
    "SystemFailure",
    "__version__",
    "rebalance_experts",
]
