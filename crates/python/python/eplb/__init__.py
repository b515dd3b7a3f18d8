"""Expert-parallel load balancing for Mixture-of-Experts engines.

- `rebalance_experts`: DeepSeek's function, with its arguments and results;
- `plan`: our policies on their own;
- `Manager` and `Executor`: live balancing, with bytes that the engine carries between them;
- `Trace`, `simulate`: recorded loads and their replay;
- `eplb.integrations`: adapters for engines.

Arrays may be numpy's or torch's, and results are of the kind that came in. Errors are `eplb.Error`.
"""

from eplb._eplb import POLICIES, Backend, PlanDigest, Topology, __version__
from eplb._errors import (
    ArgumentError,
    BackendError,
    ConfigError,
    DeviceError,
    Error,
    ExecutorError,
    LoadError,
    ManagerError,
    MessageError,
    ModelError,
    PlacementError,
    PolicyError,
    ProfileError,
    StateError,
    StepError,
    SystemFailure,
    TopologyError,
    TraceError,
    UnsettledError,
)
from eplb._executor import Executor, Routing
from eplb._manager import Manager
from eplb._plan import Plan, plan
from eplb._rebalance import rebalance_experts
from eplb._tensors import Maps
from eplb._trace import (
    PolicyScore,
    Score,
    Simulation,
    Trace,
    read_placement,
    simulate,
    write_placement,
)
from eplb._weights import Pointer

__all__ = [
    "ArgumentError",
    "Backend",
    "BackendError",
    "ConfigError",
    "DeviceError",
    "Error",
    "Executor",
    "ExecutorError",
    "LoadError",
    "Manager",
    "ManagerError",
    "Maps",
    "MessageError",
    "ModelError",
    "POLICIES",
    "PlacementError",
    "Plan",
    "PlanDigest",
    "Pointer",
    "PolicyError",
    "PolicyScore",
    "ProfileError",
    "Routing",
    "Score",
    "Simulation",
    "StateError",
    "StepError",
    "SystemFailure",
    "Topology",
    "TopologyError",
    "Trace",
    "TraceError",
    "UnsettledError",
    "__version__",
    "plan",
    "read_placement",
    "rebalance_experts",
    "simulate",
    "write_placement",
]
