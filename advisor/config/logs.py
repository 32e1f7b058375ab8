"""How the daemon logs."""

from __future__ import annotations

import logging
import sys

import structlog

from advisor.config.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Send every log line to stderr: JSON for machines, colours for a person's terminal."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    is_console = settings.log_format == "console" or (
        settings.log_format == "auto" and sys.stderr.isatty()
    )
    ending: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if is_console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    logging.basicConfig(handlers=[handler], level=_level(settings), force=True)
    # A private daemon's client speaks for it.
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _level(settings: Settings) -> str:
    # A private daemon's last lines are shown when it fails; those of its usual work say nothing.
    return "WARNING" if settings.private else settings.log_level.upper()
