"""SourceService over the use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bsadvise.v1 import source_service_pb2 as pb
from bsadvise.v1.source_service_pb2_grpc import SourceServiceServicer

from advisor.application.sources import Sources
from advisor.domain.errors import FieldViolation, InvalidRequest
from advisor.service.access import current_caller
from advisor.service.context import Context


class SourceServicer(SourceServiceServicer):
    """Checks for bundles and takes them in."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def CheckSource(
        self, request: pb.CheckSourceRequest, context: Context
    ) -> pb.CheckSourceResponse:
        """Return whether a bundle is here."""
        exists = await self._sources.exists(current_caller(), request.digest)
        return pb.CheckSourceResponse(exists=exists)

    async def UploadSource(
        self, request_iterator: AsyncIterator[pb.UploadSourceRequest], context: Context
    ) -> pb.UploadSourceResponse:
        """Take a bundle in."""
        caller = current_caller()
        first = await anext(request_iterator, None)
        if first is None:
            raise InvalidRequest(FieldViolation("digest", "must be given in the first piece"))
        await self._sources.put(caller, first.digest, _chunks(first, request_iterator))
        return pb.UploadSourceResponse(digest=first.digest)


async def _chunks(
    first: pb.UploadSourceRequest, rest: AsyncIterator[pb.UploadSourceRequest]
) -> AsyncIterator[bytes]:
    yield first.chunk
    async for piece in rest:
        yield piece.chunk
