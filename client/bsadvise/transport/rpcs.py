"""The methods of the daemon that the client calls, each with the reply that it brings."""

from __future__ import annotations

from bsadvise.transport.effects import Rpc
from bsadvise.v1 import (
    device_service_pb2,
    memory_service_pb2,
    recommendation_service_pb2,
    source_service_pb2,
    token_service_pb2,
)

_SERVICES = "/bsadvise.v1."
CREATE = Rpc(
    f"{_SERVICES}RecommendationService/CreateRecommendation",
    recommendation_service_pb2.CreateRecommendationResponse,
)
GET = Rpc(
    f"{_SERVICES}RecommendationService/GetRecommendation",
    recommendation_service_pb2.GetRecommendationResponse,
)
LIST = Rpc(
    f"{_SERVICES}RecommendationService/ListRecommendations",
    recommendation_service_pb2.ListRecommendationsResponse,
)
CANCEL = Rpc(
    f"{_SERVICES}RecommendationService/CancelRecommendation",
    recommendation_service_pb2.CancelRecommendationResponse,
)
DELETE = Rpc(
    f"{_SERVICES}RecommendationService/DeleteRecommendation",
    recommendation_service_pb2.DeleteRecommendationResponse,
)
WATCH = Rpc(
    f"{_SERVICES}RecommendationService/WatchRecommendation",
    recommendation_service_pb2.WatchRecommendationResponse,
)
MEASUREMENTS = Rpc(
    f"{_SERVICES}RecommendationService/ListMeasurements",
    recommendation_service_pb2.ListMeasurementsResponse,
)
EXPLAIN = Rpc(
    f"{_SERVICES}RecommendationService/ExplainRecommendation",
    recommendation_service_pb2.ExplainRecommendationResponse,
)
CHECK_SOURCE = Rpc(f"{_SERVICES}SourceService/CheckSource", source_service_pb2.CheckSourceResponse)
UPLOAD_SOURCE = Rpc(
    f"{_SERVICES}SourceService/UploadSource", source_service_pb2.UploadSourceResponse
)
ESTIMATE = Rpc(
    f"{_SERVICES}MemoryService/EstimateMemory", memory_service_pb2.EstimateMemoryResponse
)
CREATE_TOKEN = Rpc(f"{_SERVICES}TokenService/CreateToken", token_service_pb2.CreateTokenResponse)
LIST_TOKENS = Rpc(f"{_SERVICES}TokenService/ListTokens", token_service_pb2.ListTokensResponse)
REVOKE_TOKEN = Rpc(f"{_SERVICES}TokenService/RevokeToken", token_service_pb2.RevokeTokenResponse)
DEVICES = Rpc(f"{_SERVICES}DeviceService/ListDevices", device_service_pb2.ListDevicesResponse)
