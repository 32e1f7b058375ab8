"""MemoryService over the use cases."""

from __future__ import annotations

from bsadvise.v1 import advice_pb2
from bsadvise.v1 import memory_service_pb2 as pb
from bsadvise.v1.memory_service_pb2_grpc import MemoryServiceServicer
from bsadvise.wire.messages import to_message

from advisor.application.estimates import Estimates
from advisor.service.access import current_caller
from advisor.service.context import Context
from advisor.service.converters import advice_request


class MemoryServicer(MemoryServiceServicer):
    """Predicts what fits."""

    def __init__(self, estimates: Estimates) -> None:
        self._estimates = estimates

    async def EstimateMemory(
        self, request: pb.EstimateMemoryRequest, context: Context
    ) -> pb.EstimateMemoryResponse:
        """Predict the largest micro-batch that fits."""
        estimate = await self._estimates.estimate(current_caller(), advice_request(request.request))
        return pb.EstimateMemoryResponse(estimate=to_message(estimate, advice_pb2.MemoryEstimate()))
