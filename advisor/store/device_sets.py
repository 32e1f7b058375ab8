"""Statements about the devices that leases hold; each runs inside its caller's transaction.

A recommendation names the devices that its lease is to hold. While it is leased all of them are
its own, else none is: the database allows one leased row a device, so that of two transactions
which take one device at the same instant the second fails as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bsadvise.model.recommendation import State
from sqlalchemy import Connection, Subquery, and_, func, insert, select, update

from advisor.store.tables import recommendation_devices, recommendations

_COLUMNS = recommendation_devices.c


def insert_devices(
    connection: Connection, recommendation_id: str, host: str, device_ids: Sequence[str]
) -> None:
    """Say which devices of a host the lease of a recommendation is to hold."""
    rows = [
        {
            "recommendation_id": recommendation_id,
            "device_id": device_id,
            "position": position,
            "host": host,
            "is_leased": False,
        }
        for position, device_id in enumerate(device_ids)
    ]
    connection.execute(insert(recommendation_devices), rows)


def devices_of(connection: Connection, recommendation_id: str) -> tuple[str, ...]:
    """Return the ids of a recommendation's devices, in their order."""
    query = (
        select(_COLUMNS.device_id)
        .where(_COLUMNS.recommendation_id == recommendation_id)
        .order_by(_COLUMNS.position)
    )
    return tuple(connection.scalars(query))


def take_all(connection: Connection, recommendation_id: str) -> None:
    """Take the devices of a recommendation for its lease.

    Raises:
        IntegrityError: Another lease has taken one of them in this instant.
    """
    # One after the other, in one order for everybody: two transactions that take overlapping
    # sets then wait for each other in no circle.
    for device_id in sorted(devices_of(connection, recommendation_id)):
        is_it = and_(
            _COLUMNS.recommendation_id == recommendation_id, _COLUMNS.device_id == device_id
        )
        connection.execute(update(recommendation_devices).where(is_it).values(is_leased=True))


def release_all(connection: Connection, recommendation_id: str) -> None:
    """Give the devices of a recommendation back."""
    connection.execute(
        update(recommendation_devices)
        .where(_COLUMNS.recommendation_id == recommendation_id)
        .values(is_leased=False)
    )


def release_stale(connection: Connection, host: str) -> None:
    """Give back the devices of a host that are held by what does not run.

    No statement here leaves one so; a database that was mended by hand may hold it, and nothing
    else would ever make that device free again.
    """
    running = select(recommendations.c.recommendation_id).where(
        recommendations.c.state == State.RUNNING.value
    )
    connection.execute(
        update(recommendation_devices)
        .where(
            _COLUMNS.host == host, _COLUMNS.is_leased, _COLUMNS.recommendation_id.not_in(running)
        )
        .values(is_leased=False)
    )


def leased_devices(connection: Connection, host: str) -> set[str]:
    """Return the ids of a host's devices that leases hold."""
    query = select(_COLUMNS.device_id).where(_COLUMNS.host == host, _COLUMNS.is_leased)
    return set(connection.scalars(query))


def first_served(connection: Connection, host: str, turns: Sequence[str]) -> Iterator[str]:
    """Yield the ids of those recommendations whose devices are all free, by their turns.

    None passes by another that comes before it and waits for one of the same devices: else
    requests for one device might keep a request for several from ever having all of them.

    Args:
        connection: The database.
        host: Whose devices.
        turns: Ids of the recommendations that wait, in the order of their turns.
    """
    wanted: dict[str, set[str]] = {}
    waiting = select(_COLUMNS.recommendation_id, _COLUMNS.device_id).join(
        recommendations, recommendations.c.recommendation_id == _COLUMNS.recommendation_id
    )
    for row in connection.execute(
        waiting.where(_COLUMNS.host == host, recommendations.c.state == State.QUEUED.value)
    ):
        wanted.setdefault(row.recommendation_id, set()).add(row.device_id)
    taken = leased_devices(connection, host)
    for recommendation_id in turns:
        device_ids = wanted.get(recommendation_id, set())
        if device_ids and taken.isdisjoint(device_ids):
            yield recommendation_id
        taken |= device_ids


def leased_counts() -> Subquery:
    """Return the query for the number of devices that work for each principal."""
    return (
        select(recommendations.c.principal, func.count().label("device_count"))
        .join(
            recommendation_devices,
            recommendation_devices.c.recommendation_id == recommendations.c.recommendation_id,
        )
        .where(recommendation_devices.c.is_leased)
        .group_by(recommendations.c.principal)
        .subquery()
    )
