"""JSON lines to stderr: one event a line, with service, level and timestamp."""

import logging
import sys
from typing import Any

import structlog

from shared.runtime.masking import masked


def _mask(_logger: Any, _method: str, line: Any) -> str:
    """Over the whole line, so that a secret is found wherever it stands: in a value, a list, an error's text."""
    return masked(str(line))


def configure(service: str, level: str) -> None:
    """Make structlog and the libraries' own logging write JSON lines to stderr."""
    number = getattr(logging, level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(), _mask],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer(), _mask],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.WARNING))
    logging.getLogger("aiokafka").setLevel(logging.ERROR)  # its warnings repeat per partition what the services say once
