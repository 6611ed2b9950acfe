"""Grafana's dashboards as code: `python -m deploy.grafana.dashboards` writes the JSON beside this file (`make reference` does it too).

    overview ──► vendor ──► objective          what is promised, and how it stands
        └──────► pipeline ──► quality          whether slawatch itself, and what vendors send, can be relied on

The link bar of each leads to the others and carries time and variables along. tests/observability checks that the files are those this
program writes, lints them, and runs every query against a real Prometheus that scraped the real services.
"""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

Json = dict[str, Any]
FOLDER: Final = Path(__file__).parent
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
JOB: Final = 'job=~"$job"'
VENDOR: Final = 'vendor=~"$vendor"'
OBJECTIVE: Final = ('agreement=~"$agreement"', 'objective=~"$objective"')
OPEN_CLOCKS: Final = 'state=~"running|paused|breached"'
CORRECTED: Final = 'type=~"retracted|reopened|amended|contested"'
QUALITY: Final = 'vendor_indicator:slawatch_data_quality:ratio_rate1h{vendor=~"$vendor"}'  # NaN where nothing came: `>= 0` leaves that out
SHARES: Final = ("valid", "unique", "timely", "consistent")


class Panel(NamedTuple):
    """One panel. `queries` are (PromQL, legend); `unit` is Grafana's name of one."""

    title: str
    kind: str  # timeseries, stat, bargauge
    unit: str
    queries: tuple[tuple[str, str], ...]
    means: str = ""
    width: int = 12
    height: int = 8
    reds: tuple[float, bool] | None = None  # from which value on it is red, and whether greater is worse


def lines(title: str, unit: str, *queries: tuple[str, str], means: str = "", width: int = 12) -> Panel:
    """Curves over time."""
    return Panel(title, "timeseries", unit, queries, means, width)


def figure(title: str, unit: str, query: str, *, means: str = "", red: float | None = None, more_is_worse: bool = True) -> Panel:
    """One figure: the last value."""
    return Panel(title, "stat", unit, ((query, ""),), means, 4, 4, None if red is None else (red, more_is_worse))


def bars(title: str, unit: str, query: str, legend: str, *, means: str = "", red: float, more_is_worse: bool) -> Panel:
    """A bar for each series' last value."""
    return Panel(title, "bargauge", unit, ((query, legend),), means, 12, 8, (red, more_is_worse))


def of(metric: str, *matchers: str) -> str:
    """A selector, of the jobs chosen."""
    return f"{metric}{{{', '.join((JOB, *matchers))}}}"


def rate(metric: str, *matchers: str) -> str:
    """Per second, over an interval that fits the scrape interval and the zoom."""
    return f"rate({of(metric, *matchers)}[$__rate_interval])"


def quantile(q: float, metric: str, by: str = "", *matchers: str) -> str:
    """Of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) ({rate(f'{metric}_bucket', *matchers)}))"


def quantiles(metric: str, *matchers: str) -> tuple[tuple[str, str], ...]:
    """Median and 99th percentile."""
    return (quantile(0.5, metric, "", *matchers), "p50"), (quantile(0.99, metric, "", *matchers), "p99")


def levels(*matchers: str, legend: str) -> list[Panel]:
    """How levels stand."""
    return [
        lines(
            "Level and target",
            "short",
            (of("slawatch_level_value", *matchers), legend),
            (of("slawatch_level_target", *matchers), f"{legend} target"),
            means="The level in its current window, as it stands. Shares are fractions of 1.",
        ),
        lines(
            "Error budget left",
            "percentunit",
            (of("slawatch_error_budget_left_ratio", *matchers), legend),
            means="Share of what may go wrong in the window that has not gone wrong yet; below 0 the promise is broken.",
        ),
        lines(
            "Burn rate",
            "short",
            (of("slawatch_burn_rate", *matchers), f"{legend} {{{{window}}}}"),
            means="1: the budget lasts exactly to the end of the period. Alerts where a long and a short window both exceed their factor.",
        ),
    ]


def overview() -> Json:
    panels = [
        figure("Open breaches", "short", f"sum({of('slawatch_open_breaches')}) or vector(0)", red=1),
        figure("At risk", "short", f"sum({of('slawatch_clocks_at_risk')}) or vector(0)"),
        figure("Open clocks", "short", f"sum({of('slawatch_clocks', OPEN_CLOCKS)})"),
        figure(
            "Levels kept", "percentunit", f"avg({of('slawatch_level_kept')})", red=0.99, more_is_worse=False, means="Share of the levels."
        ),
        figure("Verdict after deadline, p99", "s", quantile(0.99, "slawatch_deadline_to_verdict_seconds"), red=5),
        figure("Services up", "percentunit", 'avg(up{job=~"$job"})', red=0.99, more_is_worse=False),
        lines("Open breaches by vendor", "short", (f"sum by (vendor) ({of('slawatch_open_breaches')})", "{{vendor}}")),
        lines("At risk by vendor", "short", (f"sum by (vendor) ({of('slawatch_clocks_at_risk')})", "{{vendor}}")),
        lines(
            "Breaches by vendor",
            "short",
            (f"""sum by (vendor) (increase({of("slawatch_breaches_total", 'type="opened"')}[$__rate_interval]))""", "{{vendor}}"),
            means="Opened within each interval.",
        ),
        lines("Warnings by type", "short", (f"sum by (type) (increase({of('slawatch_warnings_total')}[$__rate_interval]))", "{{type}}")),
        bars(
            "Least error budget left",
            "percentunit",
            f"bottomk(10, {of('slawatch_error_budget_left_ratio')})",
            "{{vendor}} {{objective}}",
            red=0.1,
            more_is_worse=False,
        ),
        bars(
            "Fastest burn, 1 h",
            "short",
            f"""topk(10, {of("slawatch_burn_rate", 'window="1h"')})""",
            "{{vendor}} {{objective}}",
            red=6,
            more_is_worse=True,
        ),
        lines("Events accepted", "cps", (f"sum by (vendor) ({rate('slawatch_events_accepted_total')})", "{{vendor}}")),
        lines("Notifications", "cps", (f"sum by (channel, outcome) ({rate('slawatch_notifications_total')})", "{{channel}} {{outcome}}")),
    ]
    return dashboard("overview", "What is promised, and how it stands.", panels)


def vendor() -> Json:
    panels = [
        figure("Open breaches", "short", f"sum({of('slawatch_open_breaches', VENDOR)}) or vector(0)", red=1),
        figure("At risk", "short", f"sum({of('slawatch_clocks_at_risk', VENDOR)}) or vector(0)"),
        figure(
            "Breaches opened",
            "short",
            f"""sum(increase({of("slawatch_breaches_total", VENDOR, 'type="opened"')}[$__range]))""",
            means="Within the time shown.",
        ),
        figure(
            "Retracted",
            "short",
            f"""sum(increase({of("slawatch_breaches_total", VENDOR, 'type="retracted"')}[$__range])) or vector(0)""",
            means="Disproved by evidence that came late, within the time shown.",
        ),
        figure("Levels kept", "percentunit", f"avg({of('slawatch_level_kept', VENDOR)})", red=0.99, more_is_worse=False),
        figure(
            "Events told within 5 min",
            "percentunit",
            f"""sum({rate("slawatch_event_delay_seconds_bucket", VENDOR, 'le="300.0"')})"""
            f" / sum({rate('slawatch_event_delay_seconds_count', VENDOR)})",
            red=0.95,
            more_is_worse=False,
        ),
        lines("Open breaches by objective", "short", (f"sum by (objective) ({of('slawatch_open_breaches', VENDOR)})", "{{objective}}")),
        lines("At risk by objective", "short", (f"sum by (objective) ({of('slawatch_clocks_at_risk', VENDOR)})", "{{objective}}")),
        lines(
            "Statements about breaches",
            "short",
            (f"sum by (type) (increase({of('slawatch_breaches_total', VENDOR)}[$__rate_interval]))", "{{type}}"),
        ),
        *levels(VENDOR, legend="{{objective}}"),
        lines(
            "Credits this month, estimated",
            "short",
            (f"sum by (agreement, currency) ({of('slawatch_credits_estimated', VENDOR)})", "{{agreement}} {{currency}}"),
            means="What breaches recorded this month (UTC) cost by their penalties per breach and hour, without tiers.",
        ),
        lines("Events accepted", "cps", (f"sum by (vendor) ({rate('slawatch_events_accepted_total', VENDOR)})", "{{vendor}}")),
        lines("From happening to arrival", "s", *quantiles("slawatch_event_delay_seconds", VENDOR)),
    ]
    return dashboard("vendor", "One vendor's promises.", panels, variable("vendor", "slawatch_events_accepted_total"))


def objective() -> Json:
    panels = [
        figure("Open clocks", "short", f"sum({of('slawatch_clocks', *OBJECTIVE, OPEN_CLOCKS)}) or vector(0)"),
        figure("Open breaches", "short", f"sum({of('slawatch_open_breaches', *OBJECTIVE)}) or vector(0)", red=1),
        figure("At risk", "short", f"sum({of('slawatch_clocks_at_risk', *OBJECTIVE)}) or vector(0)"),
        lines("Clocks by state", "short", (f"sum by (state) ({of('slawatch_clocks', *OBJECTIVE)})", "{{state}}")),
        lines(
            "Verdicts", "short", (f"sum by (type) (increase({of('slawatch_statements_total', *OBJECTIVE)}[$__rate_interval]))", "{{type}}")
        ),
        lines("Open breaches by vendor", "short", (f"sum by (vendor) ({of('slawatch_open_breaches', *OBJECTIVE)})", "{{vendor}}")),
        *levels(*OBJECTIVE, legend="{{vendor}} {{service}}"),
    ]
    return dashboard(
        "objective",
        "One objective, over all its vendors.",
        panels,
        variable("agreement", "slawatch_statements_total"),
        variable("objective", 'slawatch_statements_total{agreement=~"$agreement"}'),
    )


def pipeline() -> Json:
    ingest = [
        lines("Answers by status", "cps", (f"sum by (status) ({rate('slawatch_ingest_requests_total')})", "{{status}}")),
        lines(
            "Posts that failed (5xx)",
            "percentunit",
            ("slawatch:ingest_errors:ratio_rate5m", "5m"),
            ("slawatch:ingest_errors:ratio_rate1h", "1h"),
            ("slawatch:ingest_errors:ratio_rate6h", "6h"),
            means="The promise: under 0.1 % over 30 days.",
        ),
        lines("Produce latency", "s", *quantiles("slawatch_produce_seconds")),
        lines(
            "Bytes in flight",
            "bytes",
            (of("slawatch_ingest_in_flight_bytes"), "{{instance}}"),
            (of("slawatch_ingest_in_flight_max_bytes"), "{{instance}} at most"),
        ),
        lines("Pulses", "cps", (f"sum by (outcome) ({rate('slawatch_pulses_total')})", "{{outcome}}")),
        lines("Dependencies of ingest", "bool", (of("slawatch_dependency_up"), "{{dependency}} {{instance}}")),
    ]
    evaluator = [
        lines("Records behind", "short", (f"sum by (job) ({of('slawatch_records_behind')})", "{{job}}")),
        lines("Log time lag", "s", (of("slawatch_log_time_lag_seconds"), "{{instance}}"), means="Pulses keep an idle partition near 5 s."),
        lines(
            "Events in and folded",
            "cps",
            (f"sum({rate('slawatch_events_accepted_total')})", "accepted"),
            (f"sum({rate('slawatch_events_folded_total')})", "folded (pulses and ticks too)"),
        ),
        lines("Fold of a slice", "s", *quantiles("slawatch_fold_duration_seconds")),
        lines("Verdicts", "cps", (f"sum by (type) ({rate('slawatch_statements_total')})", "{{type}}")),
        lines("Deadline to verdict", "s", *quantiles("slawatch_deadline_to_verdict_seconds")),
        lines(
            "Pulse age and held deadlines",
            "short",
            (f"max({of('slawatch_pulse_age_seconds')})", "seconds since the last pulse (15: blind)"),
            (f"sum({of('slawatch_timers_held')})", "deadlines held"),
            (f"max({of('slawatch_broker_time_leap_held_seconds')})", "leap of broker time held, seconds"),
        ),
        lines(
            "Partitions",
            "short",
            (of("slawatch_partitions_owned"), "{{instance}} owned"),
            (of("slawatch_partitions_restoring"), "{{instance}} restoring"),
        ),
        lines(
            "Recovery",
            "s",
            (
                f"sum by (instance) ({of('slawatch_recovery_duration_seconds_sum')})"
                f" / sum by (instance) ({of('slawatch_recovery_duration_seconds_count')})",
                "{{instance}} mean",
            ),
            means="From a partition's assignment to the end of the log.",
        ),
        lines("Checkpoint age", "s", (of("slawatch_checkpoint_age_seconds"), "{{instance}}")),
        lines("Checkpoint duration", "s", *quantiles("slawatch_checkpoint_duration_seconds")),
        lines(
            "Failures",
            "cps",
            (f"sum({rate('slawatch_produce_failures_total')})", "ingest: batches not acknowledged"),
            (f"sum({rate('slawatch_emit_failures_total')})", "evaluator: verdicts not taken"),
            (f"sum({rate('slawatch_emit_dropped_total')})", "evaluator: too large, dropped"),
            (f"sum by (reason) ({rate('slawatch_checkpoint_failures_total')})", "checkpoints: {{reason}}"),
        ),
    ]
    notifier = [
        lines("Verdict to delivery, p99", "s", (quantile(0.99, "slawatch_verdict_to_delivery_seconds", "channel"), "{{channel}}")),
        lines("Attempts", "cps", (f"sum by (channel, outcome) ({rate('slawatch_notifications_total')})", "{{channel}} {{outcome}}")),
        lines("Deliveries waiting", "short", (f"sum by (channel) ({of('slawatch_deliveries_queued')})", "{{channel}}")),
        lines(
            "Channels and ledger",
            "bool",
            (f"min by (channel) ({of('slawatch_channel_enabled')})", "{{channel}}"),
            (f"min({of('slawatch_ledger_available')})", "ledger"),
        ),
        lines("Ledger transaction", "s", *quantiles("slawatch_ledger_transaction_seconds")),
        lines(
            "Escalations, verdicts dropped as known",
            "cps",
            (f"sum({rate('slawatch_escalations_total')}) or vector(0)", "escalation steps"),
            (f"sum by (reason) ({rate('slawatch_verdicts_dropped_total')})", "{{reason}}"),
        ),
    ]
    processes = [
        lines("Processor", "percentunit", (rate("process_cpu_seconds_total"), "{{job}} {{instance}}"), width=8),
        lines("Memory", "bytes", (of("process_resident_memory_bytes"), "{{job}} {{instance}}"), width=8),
        lines("Open files", "short", (of("process_open_fds"), "{{job}} {{instance}}"), width=8),
    ]
    panels: list[Panel | str] = ["ingest", *ingest, "evaluator", *evaluator, "notifier", *notifier, "processes", *processes]
    return dashboard("pipeline", "Whether slawatch itself is well.", panels)


def quality() -> Json:
    panels = [
        bars(
            "Indicators by vendor, over an hour",
            "percentunit",
            f"{QUALITY} >= 0",
            "{{vendor}} {{indicator}}",
            means=f"{', '.join(SHARES)}: what each means is in the runbook SlawatchDataQualityPoor.",
            red=0.95,
            more_is_worse=False,
        ),
        lines(
            "Indicators",
            "percentunit",
            (
                f"avg by (indicator) ({QUALITY} >= 0)",
                "{{indicator}}",
            ),
        ),
        lines("Accepted", "cps", (f"sum by (vendor) ({rate('slawatch_events_accepted_total', VENDOR)})", "{{vendor}}")),
        lines(
            "Rejected, by reason",
            "cps",
            (f"sum by (vendor, reason) ({rate('slawatch_events_rejected_total', VENDOR)})", "{{vendor}} {{reason}}"),
        ),
        lines("Sent before", "cps", (f"sum by (vendor) ({rate('slawatch_events_duplicate_total', VENDOR)})", "{{vendor}}")),
        lines(
            "From happening to arrival, p95",
            "s",
            (quantile(0.95, "slawatch_event_delay_seconds", "vendor", VENDOR), "{{vendor}}"),
        ),
        lines(
            "Set aside in quarantine",
            "short",
            (f"sum by (reason) (increase({of('slawatch_events_quarantined_total')}[$__rate_interval]))", "{{reason}}"),
            means="Let in, but not usable: the topic of quarantine holds them.",
        ),
        lines(
            "Corrections by late evidence",
            "short",
            (
                f"""sum by (vendor, type) (increase({of("slawatch_breaches_total", VENDOR, CORRECTED)}"""
                "[$__rate_interval]))",
                "{{vendor}} {{type}}",
            ),
        ),
        lines(
            "Cases without a clock",
            "short",
            (f"""sum by (agreement, objective) ({of("slawatch_clocks", 'state=~"skipped|cancelled"')})""", "{{agreement}} {{objective}}"),
            means="Skipped, as no target fits what is known of them, or cancelled: out of every share.",
        ),
    ]
    return dashboard("quality", "Whether what vendors send can be relied on.", panels, variable("vendor", "slawatch_events_accepted_total"))


def variable(name: str, metric: str) -> Json:
    """A variable whose values are those of a label."""
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "includeAll": True,
        "allValue": ".+",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "refresh": 2,
        "sort": 1,
    }


def dashboard(name: str, about: str, panels: list[Panel] | list[Panel | str], *variables: Json) -> Json:
    """The JSON of a dashboard; texts among the panels are the titles of rows."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": f"slawatch-{name}",
        "title": f"slawatch: {name}",
        "description": about,
        "tags": ["slawatch"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [source, {**variable("job", 'up{job=~"slawatch-.+"}'), "allValue": "slawatch-.+"}, *variables]},
        "links": [
            {"type": "dashboards", "tags": ["slawatch"], "title": "slawatch", "asDropdown": False, "includeVars": True, "keepTime": True}
        ],
        "panels": _placed(panels),
    }


def _placed(panels: list[Panel] | list[Panel | str]) -> list[Json]:
    """Left to right, top to bottom."""
    placed: list[Json] = []
    x = y = row = 0
    for number, panel in enumerate(panels, 1):
        if isinstance(panel, str):
            y, x, row = y + row, 0, 1
            placed.append(
                {"id": number, "type": "row", "title": panel, "collapsed": False, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}
            )
            x = WIDTH
            continue
        if x + panel.width > WIDTH or (row and panel.height != row):
            y, x = y + row, 0
        row = panel.height
        placed.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": panel.height}))
        x += panel.width
    return placed


def _panel(number: int, panel: Panel, place: Json) -> Json:
    defaults: Json = {"unit": panel.unit}
    if panel.reds is not None:
        value, more_is_worse = panel.reds
        low, high = ("green", "red") if more_is_worse else ("red", "green")
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": low, "value": None}, {"color": high, "value": value}]}
    options: Json = {"reduceOptions": {"calcs": ["lastNotNull"]}}
    if panel.kind == "timeseries":
        options = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.means,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": query, "legendFormat": legend or "__auto"}
            for i, (query, legend) in enumerate(panel.queries)
        ],
    }


def documents() -> dict[str, str]:
    """What is to stand in this folder, by the file's name."""
    made = (overview(), vendor(), objective(), pipeline(), quality())
    return {f"{one['uid'].removeprefix('slawatch-')}.json": json.dumps(one, indent=1) + "\n" for one in made}


if __name__ == "__main__":
    for name, text in documents().items():
        (FOLDER / name).write_text(text, "utf-8")
