"""The database's tables.

A value of the domain is one column of JSON text; columns of their own have only the parts
that a query asks for. JSON is kept as text because a diverged loss may hold NaN, which the
JSON types of databases refuse.
"""

from __future__ import annotations

from bsadvise.model.recommendation import LOCAL
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA_REVISION = "0005"
"""The newest revision in ``migrations/versions``, which makes the tables as they stand here."""

VERSION_TABLE = "bsadvise_schema"
"""Where Alembic keeps the revision; its usual table would clash with another program's."""

METADATA = MetaData()

recommendations = Table(
    "recommendations",
    METADATA,
    # The order of creation. Clocks jump and tie; this does neither.
    Column("number", Integer, primary_key=True),
    Column("recommendation_id", String, nullable=False, unique=True),
    # Whose, a space, and their own id: two principals may choose the same one.
    Column("request_key", String, nullable=False, unique=True),
    Column("request", Text, nullable=False),
    Column("device", Text, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created_at_s", Double, nullable=False),
    Column("updated_at_s", Double, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("advice", Text),
    Column("refusal", Text),
    Column("refusal_code", String),
    Column("lease_owner", String),
    Column("lease_expires_at_s", Double),
    Column("last_sequence", Integer, nullable=False),
    Column("principal", String, nullable=False, server_default=LOCAL),
    # What a queue is ordered by, and how long it takes at most.
    Column("priority_rank", Integer, nullable=False, server_default="1"),
    Column("budget_s", Double, nullable=False, server_default="60.0"),
    # Up to when the device's time of the present lease has been charged.
    Column("charged_at_s", Double),
    # Whose devices it is for: "cpu" is a name on every machine. Empty in a database that
    # serves one machine alone.
    Column("host", String, nullable=False, server_default=""),
    Column("source_digest", String, nullable=False, server_default=""),
    # Measurements up to this event are of a search that was begun anew since.
    Column("log_after_sequence", Integer, nullable=False, server_default="0"),
    # Of its request and of the bodies of its events.
    Column("kept_bytes", BigInteger, nullable=False, server_default="0"),
    # Numbers of deleted rows are not given again: a page token may still name one.
    sqlite_autoincrement=True,
)

Index("ix_recommendations_state_number", recommendations.c.state, recommendations.c.number)
Index(
    "ix_recommendations_fingerprint_number",
    recommendations.c.fingerprint,
    recommendations.c.number,
)

Index(
    "ix_recommendations_principal_number",
    recommendations.c.principal,
    recommendations.c.number,
)

# Holds all that a sum asks for: the rows themselves are long.
Index(
    "ix_recommendations_principal_kept_bytes",
    recommendations.c.principal,
    recommendations.c.kept_bytes,
)

Index(
    "ix_recommendations_source_digest_created_at_s",
    recommendations.c.source_digest,
    recommendations.c.created_at_s,
)

# The devices that the lease of a recommendation is to hold, the one it is for first.
recommendation_devices = Table(
    "recommendation_devices",
    METADATA,
    Column(
        "recommendation_id",
        ForeignKey(recommendations.c.recommendation_id, ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("device_id", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("host", String, nullable=False),
    Column("is_leased", Boolean, nullable=False),
)

Index(
    "ix_recommendation_devices_host_device_id",
    recommendation_devices.c.host,
    recommendation_devices.c.device_id,
)

# Two daemons that take one device at the same instant: the second one fails here.
Index(
    "uq_recommendation_devices_leased",
    recommendation_devices.c.host,
    recommendation_devices.c.device_id,
    unique=True,
    sqlite_where=recommendation_devices.c.is_leased,
    postgresql_where=recommendation_devices.c.is_leased,
)

events = Table(
    "events",
    METADATA,
    Column(
        "recommendation_id",
        ForeignKey(recommendations.c.recommendation_id, ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("at_s", Double, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
)

sources = Table(
    "sources",
    METADATA,
    Column("digest", String, primary_key=True),
    Column("bundle", LargeBinary, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("created_at_s", Double, nullable=False),
)

# Who has sent which source, and may use it.
uploads = Table(
    "uploads",
    METADATA,
    Column("principal", String, primary_key=True),
    Column("digest", ForeignKey(sources.c.digest, ondelete="CASCADE"), primary_key=True),
    Column("size_bytes", Integer, nullable=False),
    Column("uploaded_at_s", Double, nullable=False),
)

# Seconds of devices, by the hour in which they were charged; it outlives the recommendations.
usage = Table(
    "usage",
    METADATA,
    Column("principal", String, primary_key=True),
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("device_s", Double, nullable=False),
)

tokens = Table(
    "tokens",
    METADATA,
    Column("token_id", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("principal", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("created_at_s", Double, nullable=False),
    Column("expires_at_s", Double, nullable=False),
    Column("revoked_at_s", Double),
)
