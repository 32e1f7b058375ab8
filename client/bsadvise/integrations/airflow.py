"""An Airflow task that answers with advice, which later tasks read as its XCom.

    advise = BsadviseOperator(task_id="advise", model_file="train.py", address="gpu-1:50051")
    "--batch-size {{ ti.xcom_pull('advise')['micro_batch_size'] }}"

For Airflow 3. A deferrable task takes no worker's slot while the daemon measures: the triggerer
follows it. Tokens are read where they are needed, from the environment of worker and triggerer, and
are in no serialised task.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from bsadvise.aio import AsyncClient
from bsadvise.client import Client
from bsadvise.integrations.libraries import library
from bsadvise.model.errors import BsadviseError

_BaseOperator: Any = library("airflow.sdk", "airflow").BaseOperator
_BaseTrigger: Any = library("airflow.triggers.base", "airflow").BaseTrigger


class BsadviseOperator(_BaseOperator):  # type: ignore[misc]
    """Asks a daemon for advice, and returns every field of it."""

    template_fields: Sequence[str] = ("model_file", "arguments", "include", "address", "options")

    def __init__(
        self,
        *,
        model_file: str,
        arguments: Sequence[str] = (),
        include: Sequence[str] = (),
        address: str | None = None,
        options: Mapping[str, Any] | None = None,
        deferrable: bool = False,
        **kwargs: Any,  # noqa: ANN401 - those of every operator
    ) -> None:
        """Make a task.

        Args:
            model_file: The model file or training script, where the worker can read it.
            arguments: The command line of a script.
            include: Files and folders to send with it.
            address: The daemon; None for ``BSADVISE_ADDRESS``, else one on the worker. A deferrable
                task needs one that triggerer and worker both reach.
            options: What is asked for, as keywords of ``bsadvise.Client.recommend``.
            deferrable: Whether to leave the worker while the daemon measures.
            **kwargs: Those of every operator.

        Raises:
            ValueError: It is deferrable and has no address: a daemon of its own ends with it.
        """
        super().__init__(**kwargs)
        if deferrable and not address:
            raise ValueError("a deferrable task needs the address of a daemon that stays")
        self.model_file = model_file
        self.arguments = arguments
        self.include = include
        self.address = address
        self.options = {} if options is None else options
        self.deferrable = deferrable
        self._stop: Callable[[], object] | None = None

    def execute(self, context: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002 - as Airflow has it
        """Ask, and return the advice when it is there; or defer until then.

        Raises:
            BsadviseError: There is no advice; the class says why.
        """
        with Client(self.address) as client:
            created = client.create_recommendation(
                self.model_file,
                include=self.include,
                arguments=self.arguments,
                **self.options,
            )
            self._stop = partial(client.cancel, created.recommendation_id)
            if self.deferrable and not created.state.is_final:
                trigger = RecommendationTrigger(created.recommendation_id, self.address)
                self.defer(trigger=trigger, method_name="execute_complete")  # Raises.
            for event in client.watch(created.recommendation_id):
                self.log.info("%s", event.happening)
            return client.advice(created.recommendation_id).to_dict()

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401, ARG002
        """Return the advice that the trigger was told of.

        Raises:
            BsadviseError: There is none.
        """
        if event["error"] is not None:
            raise BsadviseError(event["error"])
        with Client(self.address) as client:
            return client.advice(event["recommendation_id"]).to_dict()

    def on_kill(self) -> None:
        """Stop what is being measured for a task that is stopped on its worker."""
        if self._stop is not None:
            self._stop()


class RecommendationTrigger(_BaseTrigger):  # type: ignore[misc]
    """Follows a recommendation until it has ended."""

    def __init__(self, recommendation_id: str, address: str | None) -> None:
        super().__init__()
        self._recommendation_id = recommendation_id
        self._address = address

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, as Airflow keeps a trigger."""
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return name, {"recommendation_id": self._recommendation_id, "address": self._address}

    async def run(self) -> AsyncIterator[Any]:
        """Yield one event: how it ended, in words where there is no advice."""
        error = None
        async with AsyncClient(self._address) as client:
            try:
                async for _ in client.watch(self._recommendation_id):
                    pass
                await client.advice(self._recommendation_id)
            except BsadviseError as raised:
                error = str(raised)
        event = {"recommendation_id": self._recommendation_id, "error": error}
        yield library("airflow.triggers.base", "airflow").TriggerEvent(event)
