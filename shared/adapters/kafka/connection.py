"""How this installation's Kafka is reached: the options that every client takes."""

import ssl
from typing import Any

from shared.runtime.settings import Settings


def connection(settings: Settings, bootstrap: str) -> dict[str, Any]:
    """Keyword arguments for aiokafka's producer, consumer and admin client."""
    options: dict[str, Any] = {"bootstrap_servers": bootstrap, "security_protocol": settings.kafka_security}
    if settings.kafka_security.endswith("SSL"):
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ca)
    if settings.kafka_security.startswith("SASL"):
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_username
        options["sasl_plain_password"] = settings.kafka_password.get_secret_value()
    return options


def librdkafka(settings: Settings, bootstrap: str) -> dict[str, Any]:
    """The same as librdkafka's configuration, for confluent-kafka's producer, consumer and admin client."""
    options: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "security.protocol": settings.kafka_security,
        "socket.nagle.disable": True,
        "reconnect.backoff.max.ms": 1_000,  # a broker that is back is found within a second
    }
    if settings.kafka_security.endswith("SSL") and settings.kafka_ca is not None:  # without: the system's authorities
        options["ssl.ca.location"] = str(settings.kafka_ca)
    if settings.kafka_security.startswith("SASL"):
        options["sasl.mechanism"] = settings.kafka_sasl_mechanism
        options["sasl.username"] = settings.kafka_username
        options["sasl.password"] = settings.kafka_password.get_secret_value()
    return options
