"""RecommendationService over the use cases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bsadvise.model.measurements import Log
from bsadvise.model.recommendation import Waiting
from bsadvise.v1 import explanation_pb2, measurement_pb2, recommendation_pb2
from bsadvise.v1 import recommendation_service_pb2 as pb
from bsadvise.v1.recommendation_service_pb2_grpc import RecommendationServiceServicer
from bsadvise.wire.messages import to_message

from advisor.application.recommendations import Recommendations
from advisor.service.access import current_caller
from advisor.service.context import Context
from advisor.service.converters import advice_request, recommendation_message, waiting_message


class RecommendationServicer(RecommendationServiceServicer):
    """Creates, reads, cancels, deletes and follows recommendations."""

    def __init__(self, recommendations: Recommendations) -> None:
        self._recommendations = recommendations

    async def CreateRecommendation(
        self, request: pb.CreateRecommendationRequest, context: Context
    ) -> pb.CreateRecommendationResponse:
        """Create a recommendation."""
        created = await self._recommendations.create(
            current_caller(), request.request_id, advice_request(request.request)
        )
        return pb.CreateRecommendationResponse(recommendation=recommendation_message(created))

    async def GetRecommendation(
        self, request: pb.GetRecommendationRequest, context: Context
    ) -> pb.GetRecommendationResponse:
        """Return a recommendation."""
        found = await self._recommendations.get(current_caller(), request.recommendation_id)
        return pb.GetRecommendationResponse(recommendation=recommendation_message(found))

    async def ListRecommendations(
        self, request: pb.ListRecommendationsRequest, context: Context
    ) -> pb.ListRecommendationsResponse:
        """Return a page of recommendations."""
        page = await self._recommendations.list_page(
            current_caller(), page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListRecommendationsResponse(
            recommendations=[recommendation_message(found) for found in page.recommendations],
            next_page_token=page.next_page_token,
        )

    async def CancelRecommendation(
        self, request: pb.CancelRecommendationRequest, context: Context
    ) -> pb.CancelRecommendationResponse:
        """Ask for a recommendation to stop."""
        found = await self._recommendations.cancel(current_caller(), request.recommendation_id)
        return pb.CancelRecommendationResponse(recommendation=recommendation_message(found))

    async def DeleteRecommendation(
        self, request: pb.DeleteRecommendationRequest, context: Context
    ) -> pb.DeleteRecommendationResponse:
        """Remove a recommendation."""
        await self._recommendations.delete(current_caller(), request.recommendation_id)
        return pb.DeleteRecommendationResponse()

    async def WatchRecommendation(
        self, request: pb.WatchRecommendationRequest, context: Context
    ) -> AsyncIterator[pb.WatchRecommendationResponse]:
        """Stream a recommendation's events."""
        events = self._recommendations.watch(
            current_caller(),
            request.recommendation_id,
            after_sequence=request.after_sequence,
            tell_waiting=request.include_waiting,
        )
        async for event in events:
            if isinstance(event, Waiting):
                yield pb.WatchRecommendationResponse(waiting=waiting_message(event))
            else:
                message = to_message(event, recommendation_pb2.Event())
                yield pb.WatchRecommendationResponse(event=message)

    async def ListMeasurements(
        self, request: pb.ListMeasurementsRequest, context: Context
    ) -> pb.ListMeasurementsResponse:
        """Return a recommendation's log."""
        log = await self._recommendations.log(current_caller(), request.recommendation_id)
        return await asyncio.to_thread(_log_message, log)  # A long one takes a second.

    async def ExplainRecommendation(
        self, request: pb.ExplainRecommendationRequest, context: Context
    ) -> pb.ExplainRecommendationResponse:
        """Return what a recommendation rests on."""
        found = await self._recommendations.explain(current_caller(), request.recommendation_id)
        return pb.ExplainRecommendationResponse(
            explanation=to_message(found, explanation_pb2.Explanation())
        )


def _log_message(log: Log) -> pb.ListMeasurementsResponse:
    return pb.ListMeasurementsResponse(
        measurements=[to_message(entry, measurement_pb2.Measurement()) for entry in log]
    )
