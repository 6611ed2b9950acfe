"""The metrics that interfaces.md, section 8, asks for, in its words, and where each stands."""

SECTION_8: dict[str, tuple[tuple[str, str], ...]] = {
    "events accepted": (("ingest", "slawatch_events_accepted_total"),),
    "events rejected by reason": (("ingest", "slawatch_events_rejected_total"), ("evaluator", "slawatch_events_quarantined_total")),
    "produce latency": (("ingest", "slawatch_produce_seconds"),),
    "log time lag": (("evaluator", "slawatch_log_time_lag_seconds"),),
    "records behind": (("evaluator", "slawatch_records_behind"), ("notifier", "slawatch_records_behind")),
    "events folded": (("evaluator", "slawatch_events_folded_total"),),
    "open clocks by state": (("evaluator", "slawatch_clocks"),),
    "clocks at risk": (("notifier", "slawatch_clocks_at_risk"),),
    "breaches by type": (("notifier", "slawatch_breaches_total"),),
    "level values and targets": (("evaluator", "slawatch_level_value"), ("evaluator", "slawatch_level_target")),
    "error budget left": (("evaluator", "slawatch_error_budget_left_ratio"),),
    "burn rate": (("evaluator", "slawatch_burn_rate"),),
    "deadline-to-verdict": (("notifier", "slawatch_deadline_to_verdict_seconds"),),
    "verdict-to-delivery": (("notifier", "slawatch_verdict_to_delivery_seconds"),),
    "checkpoint age and duration": (
        ("evaluator", "slawatch_checkpoint_age_seconds"),
        ("evaluator", "slawatch_checkpoint_duration_seconds"),
    ),
    "recovery duration": (("evaluator", "slawatch_recovery_duration_seconds"),),
    "notifications by channel and outcome": (("notifier", "slawatch_notifications_total"),),
    "escalations": (("notifier", "slawatch_escalations_total"),),
    "credits estimated": (("notifier", "slawatch_credits_estimated"),),
    "data-quality indicators": (
        ("ingest", "slawatch_events_duplicate_total"),
        ("ingest", "slawatch_event_delay_seconds"),
        ("evaluator", "slawatch_events_quarantined_total"),
    ),
}
HISTOGRAMS = frozenset(
    (
        "slawatch_produce_seconds",
        "slawatch_deadline_to_verdict_seconds",
        "slawatch_verdict_to_delivery_seconds",
        "slawatch_checkpoint_duration_seconds",
        "slawatch_event_delay_seconds",
    )
)
LABELS = {
    "slawatch_events_rejected_total": {"reason"},
    "slawatch_clocks": {"state"},
    "slawatch_breaches_total": {"vendor", "agreement", "objective", "severity", "type"},
    "slawatch_notifications_total": {"channel", "outcome"},
}


def missing(pages: dict[str, str]) -> list[str]:
    """What is asked for and stands on no page, by service."""
    found = []
    for asked, places in SECTION_8.items():
        for service, name in places:
            lines = [line for line in pages[service].splitlines() if line.startswith((f"{name}{{", f"{name} ", f"{name}_count"))]
            declared = f"# TYPE {name} " in pages[service]
            if name in HISTOGRAMS and f"# TYPE {name} histogram" not in pages[service]:
                found.append(f"{asked}: {name} of {service} is no histogram")
            if not (lines or declared):
                found.append(f"{asked}: {name} of {service}")
            if lines and not all(f'{label}="' in lines[0] for label in LABELS.get(name, ())):
                found.append(f"{asked}: {name} of {service} lacks labels: {lines[0]}")
    return found
