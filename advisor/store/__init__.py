"""Where everything that outlives a daemon is kept: SQLAlchemy Core on SQLite or PostgreSQL.

The rest of the daemon knows the port, ``advisor.ports.store.Store``, alone.
"""
