"""The durable engine: workflows that survive a kill -9, on DBOS; nobody else imports it.

Steps are checkpointed in the database that holds our own tables, so a workflow whose process
died goes on after the next start with the results of the steps that were done.  Settings
follow what was measured (see docs/decisions): JSON instead of pickle, a pinned application
version (the default one strands workflows at every change of the code), a stable executor on
SQLite, and quick polling for messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, SetWorkflowID

APPLICATION_VERSION = "1"
"""Changes only with workflows that cannot take up what an older version left."""

WorkflowBody = Callable[[str], Awaitable[None]]

_UNDER_WAY = ("PENDING", "ENQUEUED", "DELAYED")
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_BATCH = 100
_THREADS = 16


class Engine:
    """One executor of durable workflows.

    Args:
        url: The database's SQLAlchemy URL.
        executor: A stable name of this executor; whoever launches with it again takes up
            what it left.
    """

    def __init__(self, url: str, executor: str) -> None:
        self._url = url
        self._executor = executor
        self._body: WorkflowBody | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._carried: set[str] = set()
        self._closing = False

    def register(self, body: WorkflowBody) -> None:
        """Make *body* the workflow that :meth:`start` runs; call before :meth:`launch`."""
        self._body = body

    async def launch(self) -> None:
        """Start working, and take up every workflow that was left, on the running loop."""
        # DBOS prints hints for its commercial parts at level INFO.
        logging.getLogger("dbos").setLevel(logging.ERROR)
        config: DBOSConfig = {
            "name": "turnout",
            "system_database_url": self._url,
            "application_version": APPLICATION_VERSION,
            "executor_id": self._executor,
            "serializer": DBOSPortableJSONSerializer(),
            "notification_listener_polling_interval_sec": 0.05,
            "run_migrations": True,
            "log_level": "ERROR",
            "max_executor_threads": _THREADS,
            "enable_otlp": False,
        }
        DBOS.destroy(destroy_registry=True)
        DBOS(config=config)
        self._closing = False

        @DBOS.workflow(name="deployment", max_recovery_attempts=1000)
        async def deployment(deployment_id: str) -> None:
            await self._carry(deployment_id)

        self._workflow = deployment
        DBOS.launch()

    async def start(self, deployment_id: str) -> None:
        """Start the workflow of a deployment; a second start of the same one does nothing."""
        with SetWorkflowID(deployment_id):
            await DBOS.start_workflow_async(self._workflow, deployment_id)

    async def known(self, deployment_id: str) -> bool:
        """Return whether a workflow of this deployment was ever started."""
        # The first one may be forgotten already while a later one still goes on.
        name, _ = await self._newest(deployment_id)
        return await DBOS.get_workflow_status_async(name) is not None

    async def ended(self, deployment_id: str) -> bool:
        """Return whether no workflow of this deployment will ever go on by itself."""
        name, _ = await self._newest(deployment_id)
        found = await DBOS.get_workflow_status_async(name)
        return found is not None and found.status not in _UNDER_WAY

    async def stalled(self, deployment_id: str) -> bool:
        """Return whether its workflow should run here and does not.

        Right after a launch that is so until the engine has taken it up.
        """
        name, _ = await self._newest(deployment_id)
        found = await DBOS.get_workflow_status_async(name)
        pending = found is not None and found.status == "PENDING"
        return pending and deployment_id not in self._carried

    async def start_again(self, deployment_id: str) -> int:
        """Start another workflow of a deployment whose last one is of no use; return which it is.

        Steps that are recorded as done are not done again.
        """
        name, number = await self._newest(deployment_id)
        await DBOS.cancel_workflow_async(name)
        with SetWorkflowID(f"{deployment_id}~{number + 1}"):
            await DBOS.start_workflow_async(self._workflow, deployment_id)
        return number + 1

    async def forget_ended(self, before: datetime) -> int:
        """Delete the checkpoints of workflows that ended before a time; return how many."""
        gone = 0
        while ended := await DBOS.list_workflows_async(
            status=list(_ENDED),
            completed_before=before.isoformat(),
            limit=_BATCH,
            load_input=False,
            load_output=False,
        ):
            await DBOS.delete_workflows_async([one.workflow_id for one in ended])
            gone += len(ended)
        return gone

    async def send(self, deployment_id: str, topic: str, message: dict[str, Any]) -> None:
        """Send a message that :func:`receive` of that workflow gets, even after a restart."""
        name, _ = await self._newest(deployment_id)
        await DBOS.send_async(name, message, topic)

    async def close(self) -> None:
        """Stop working; workflows under way are taken up by the next launch."""
        # First the workflows, then their engine: one that goes on without it would take the
        # engine's end for an error of its own.
        self._closing = True
        while self._running:
            for task in self._running:
                task.cancel()
            # Again and again, for code on the way may swallow a cancellation.
            await asyncio.wait(self._running, timeout=1.0)
        loop = asyncio.get_running_loop()
        # DBOS had put its own threads under asyncio.to_thread, and takes them away now.
        loop.set_default_executor(ThreadPoolExecutor(_THREADS))
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)

    async def _carry(self, deployment_id: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert self._body is not None
        if self._closing:
            raise asyncio.CancelledError
        self._running.add(task)
        self._carried.add(deployment_id)
        try:
            await self._body(deployment_id)
        finally:
            self._carried.discard(deployment_id)
            self._running.discard(task)

    async def _newest(self, deployment_id: str) -> tuple[str, int]:
        """Return the last workflow of a deployment, and how many came before it."""
        name, number = deployment_id, 0
        while await DBOS.get_workflow_status_async(f"{deployment_id}~{number + 1}") is not None:
            number += 1
            name = f"{deployment_id}~{number}"
        return name, number


async def step(name: str, work: Callable[..., Awaitable[dict[str, Any]]], *args: Any) -> Any:
    """Run *work* once as a checkpointed step of the current workflow and return its result.

    *work* must return plain JSON and raise nothing: a result is what is recorded.
    """
    return await DBOS.run_step_async({"name": name}, work, *args)


async def receive(topic: str, timeout: float) -> Any:
    """Return the next message on *topic*, or None after *timeout* seconds; survives restarts."""
    return await DBOS.recv_async(topic, timeout)
