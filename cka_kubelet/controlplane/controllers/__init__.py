"""Scheduler and controllers. Each talks to the API through a Client and nothing else."""

import asyncio

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.flags import Options


async def run_all(client: Client, options: Options) -> None:
    """Run every controller until cancelled."""
    await asyncio.Event().wait()
