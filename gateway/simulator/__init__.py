"""A payment provider to practise on: an app of its own, in a process of its own, with a memory of its own.

The shop reaches it only by HTTP and is reached only by signed callbacks, as with any provider. It moves no money.
"""

from gateway.simulator.app import create_simulator
from gateway.simulator.config import SimulatorConfig

__all__ = ["SimulatorConfig", "create_simulator"]
