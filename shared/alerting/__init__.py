"""Who is told about a breach, when and how often: routes, groups, mutes, silences, escalation. Pure: time comes in as an argument."""
