"""Structured logs: one JSON object a line on stderr, with ids and never personal data."""

from __future__ import annotations

import logging
import re
import sys

import structlog

# Values under these names never reach a log, whoever passes them.
PERSONAL = frozenset({"phone", "to", "email", "name", "number", "address", "token", "key", "customer"})
# A customer's link opens their survey: it stays out of what libraries say about requests, too.
LINK = re.compile(r"/s/[\w-]{16,}")


def configure(level: str) -> None:
    """Sends our logs and the libraries' to stderr as JSON lines from `level` (DEBUG, INFO, WARNING, ERROR) up."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_personal_data,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer(), foreign_pre_chain=shared)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


def logger(room: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a room."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(room=room)
    return log


def _without_personal_data(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {key: "(withheld)" if key in PERSONAL else _without_links(value) for key, value in event.items()}


def _without_links(value: object) -> object:
    return LINK.sub("/s/(withheld)", value) if isinstance(value, str) else value
