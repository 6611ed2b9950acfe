"""All settings of all services: environment variables `SLAWATCH_*`, read once, checked at the start (interfaces.md section 7)."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

PREFIX = "SLAWATCH_"
PROJECT = Path(__file__).resolve().parents[2]


class BadSettings(Exception):
    """Wrong settings; the message names each variable, what is wrong with it and what to write."""


def _listed(value: object) -> object:
    return [part for part in value.replace(",", " ").split() if part] if isinstance(value, str) else value


Listed = Annotated[list[str], BeforeValidator(_listed)]


def _of_postgres(url: SecretStr) -> SecretStr:
    scheme, colon, _ = url.get_secret_value().partition("://")
    if url.get_secret_value() and not (colon and scheme.startswith("postgres")):
        raise ValueError("a PostgreSQL URL is needed: postgresql://user:password@host:5432/name")
    return url


DatabaseUrl = Annotated[SecretStr, AfterValidator(_of_postgres)]


class Settings(BaseModel):
    """Field names in upper case, with the prefix `SLAWATCH_`, are the variables; `description` is their documentation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: Path = Field(PROJECT / ".slawatch", description="directory of the embedded stack's data, caches and logs")
    kafka: str = Field("", description="bootstrap servers; empty: the embedded broker")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field("PLAINTEXT", description="protocol towards Kafka")
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="how to sign in, with SASL_*"
    )
    kafka_username: str = Field("", description="SASL user")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password")
    kafka_ca: Path | None = Field(None, description="PEM file of the authority that signed the brokers' certificates")
    database: DatabaseUrl = Field(SecretStr(""), description="PostgreSQL URL (postgresql://…); empty: the embedded one")
    topic_events: str = Field("slawatch.events", description="topic of events and control records")
    topic_breaches: str = Field("slawatch.breaches", description="topic of verdicts")
    topic_quarantine: str = Field("slawatch.quarantine", description="topic of records that could not be used")
    partitions: int = Field(64, ge=1, le=4096, description="partitions of topics that slawatch creates")
    replication: int = Field(1, ge=1, le=9, description="replicas of topics that slawatch creates")
    group: str = Field("slawatch", description="prefix of the consumer groups")
    clock: Literal["log", "event"] = Field("log", description="log: arrival is the broker's append time; event: backfill and benchmarks")
    agreements: Listed = Field([], description="agreement files that hold from the log's beginning, separated by commas or spaces")
    bind: str = Field("127.0.0.1", description="address the services listen on")
    ingest_port: int = Field(8001, ge=0, le=65535, description="port of ingest")
    evaluator_port: int = Field(8002, ge=0, le=65535, description="port of the evaluator")
    evaluator_url: str = Field(
        "", description="address of the evaluator as people, its peers and the notifier reach it; empty: its host and port"
    )
    evaluator_token: SecretStr = Field(
        SecretStr(""), description="token (role viewer) with which the notifier asks the evaluator for a clock's pauses; empty: not drawn"
    )
    notifier_port: int = Field(8003, ge=0, le=65535, description="port of the notifier")
    pepper: SecretStr = Field(
        SecretStr(""), description="secret that keys and tokens are hashed with; empty: one kept in the home directory"
    )
    environment: str = Field("local", pattern=r"^[a-z0-9]{1,12}$", description="name of this installation, part of every key")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severe level that is logged")
    failpoint: str = Field(
        "",
        pattern=r"^[a-z]+(-[a-z]+)*(:[1-9][0-9]*)?$",
        description="for tests: the named place where the process is to die, as `name:passing`",
    )
    max_skew_s: float = Field(300, ge=0, description="how far ahead of its arrival an event's time may lie")
    max_event_bytes: int = Field(1_000_000, ge=1_000, description="largest event, in bytes")
    max_body_bytes: int = Field(10_000_000, ge=1_000, description="largest body but NDJSON streams, in bytes after decompression")
    max_batch_events: int = Field(10_000, ge=1, description="most events in a batch")
    produce_timeout_s: float = Field(5, gt=0, description="how long ingest waits for the broker before it answers 503")
    max_in_flight_bytes: int = Field(64_000_000, ge=1_000_000, description="bytes ingest holds for the broker before it answers 503")
    quota_events_per_s: float = Field(
        10_000, gt=0, description="events a second that a vendor (or a key of another role) may post for long; ten times as many at once"
    )
    body_timeout_s: float = Field(30, gt=0, description="how long ingest waits for a body, or for more of an NDJSON stream")
    routes: Listed = Field(
        [],
        description="Routing file and the calendars it names: who is told what; read again when it changes; empty: all go to every channel",
    )
    webhooks: Listed = Field([], description="URLs that get signed webhooks (Standard Webhooks), separated by commas or spaces")
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="secret of the webhooks' signatures: whsec_ and base64; empty: one kept in the home directory"
    )
    chat_webhooks: Listed = Field([], description="Slack-compatible incoming webhooks")
    smtp: SecretStr = Field(SecretStr(""), description="mail server: smtp://[user:password@]host:port, smtps:// for TLS")
    mail_from: str = Field("slawatch@localhost", description="sender of mails")
    mail_to: Listed = Field([], description="who gets mails")
    allow_private_webhooks: bool = Field(False, description="webhooks may go to loopback and private addresses (demo, tests)")
    proxy_addresses: Listed = Field(
        [],
        description="addresses or networks of the reverse proxy that signs people in to the console; empty: its headers are not believed",
    )
    proxy_user_header: str = Field("X-Forwarded-User", description="header in which the proxy names the person")
    proxy_role_header: str = Field("X-Forwarded-Groups", description="header in which the proxy names the person's roles or groups")
    proxy_roles: Listed = Field(
        [], description="which group has which role, such as `sla-oncall=responder`; a role's own name needs no entry"
    )
    metrics_urls: Listed = Field(
        [], description="what the console's health page reads, as `ingest=http://…/metrics`; empty: ingest and evaluator on this machine"
    )
    public_url: str = Field("", description="address of the notifier as people reach it, for links; empty: its own")
    dashboard_url: str = Field(
        "", description="address of a dashboard for links in messages, with gaps `{vendor}`, `{agreement}`, `{objective}`; empty: no link"
    )


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that variables give; an empty one counts as not set. Raises BadSettings that names every wrong variable."""
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    problems = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            near = get_close_matches(name, known, 1)
            problems.append(f"{name}: no such setting" + (f"; did you mean {near[0]}?" if near else ""))
    try:
        settings = Settings.model_validate({name: environ[variable] for variable, name in known.items() if environ.get(variable)})
    except ValidationError as wrong:
        for error in wrong.errors():
            name = str(error["loc"][0]) if error["loc"] else "*"
            is_secret = name in Settings.model_fields and isinstance(Settings.model_fields[name].default, SecretStr)
            problems.append(f"{PREFIX}{name.upper()}: {error['msg']}" + ("" if is_secret else f" (is {error['input']!r})"))
        raise BadSettings("\n".join(problems)) from None
    if problems:
        raise BadSettings("\n".join(problems))
    return settings


def table() -> str:
    """The documented table of all settings, in Markdown."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = ".slawatch in the project" if name == "home" else ", ".join(default) if isinstance(default, list) else str(default)
        rows.append(f"| `{PREFIX}{name.upper()}` | {f'`{shown}`' if shown and default is not None else ''} | {field.description} |")
    return "\n".join(rows)
