"""Each class of mistake: where it is reported, what is said, and what to write instead."""

from pathlib import Path

import pytest

from shared.language import LanguageError, bundles, load, load_or_raise, load_text
from tests.unit.language.samples import CALENDAR, DEADLINE, HEAD, SOUND, found, with_lines, with_objective

RATIO = ("name: share", "kind: ratio", "of: {objective: answer}", "on_empty: met")


def calendar(*lines: str) -> str:
    """A calendar with hours left out; the first of the lines is line 5."""
    return "apiVersion: slawatch/v1\nkind: Calendar\nname: office\ntimezone: UTC\n" + "".join(f"{line}\n" for line in lines)


CASES = {
    # what stands in the document: (text, line:column, message, hint)
    "unknown key": (with_lines("warnat: [50%]"), "11:5", "has no key 'warnat'", "did you mean warn_at?"),
    "unknown key at the top": (SOUND + "calender: office\n", "11:1", "has no key 'calender'", "did you mean calendar?"),
    "unknown key in a trigger": (with_lines("cancel: {on: x, where: 'true'}"), "11:21", "Trigger has no key 'where'", "when"),
    "key twice": (with_lines("start: again"), "11:5", "the key start stands here twice", "line 8"),
    "missing key": (HEAD + "objectives: [{name: a, kind: deadline, start: x, stop: y}]\n", "5:14", "needs the key 'targets'", ""),
    "wrong apiVersion": (SOUND.replace("v1", "v2"), "1:13", "'slawatch/v2' is not possible", "did you mean slawatch/v1?"),
    "wrong kind": (
        SOUND.replace("kind: Agreement", "kind: Agrement"),
        "2:7",
        "the kind 'Agrement' is not known",
        "did you mean Agreement?",
    ),
    "no kind": ("name: x\n", "1:1", "does not say its kind", "Agreement, Calendar, Mapping"),
    "wrong kind of objective": (with_objective("name: b", "kind: deadlin"), "12:11", "'deadlin' is not possible", "did you mean deadline?"),
    "no table": ("- a\n", "1:1", "a document is a table of keys", "apiVersion"),
    "empty value": (SOUND + "calendar:\n", "11:1", "a value is missing", "leave out the key"),
    "list instead of value": (SOUND + "calendar: [a]\n", "11:11", "a single value is wanted", ""),
    "no unit": (SOUND.replace("4h", "4"), "10:24", "'4' is not a duration", "4h or 4m"),
    "long unit": (SOUND.replace("4h", "4 hours"), "10:24", "'4 hours' is not a duration", "write 4h"),
    "minutes as min": (SOUND.replace("4h", "90min"), "10:24", "not a duration", "write 90m"),
    "half a business day": (SOUND.replace("4h", "1.5bd"), "10:24", "business and civil days are whole", "hours"),
    "target of zero": (SOUND.replace("4h", "0h"), "10:24", "no time at all", "more than zero"),
    "negative target": (SOUND.replace("4h", "-4h"), "10:24", "not a duration", "negative"),
    "business days where hours belong": (SOUND + "horizon: 3bd\n", "11:10", "business and civil days are for", "48h or 2d"),
    "unreachable target": (
        SOUND.replace("[{within: 4h}]", "[{within: 4h}, {within: 8h}]"),
        "10:29",
        "this target is never reached",
        "the target on line 10 has no 'when'",
    ),
    "same when twice": (
        SOUND.replace("[{within: 4h}]", "[{when: data.a == 1, within: 4h}, {when: data.a == 1, within: 8h}]"),
        "10:48",
        "this target is never reached",
        "same 'when'",
    ),
    "until with within": (
        SOUND.replace("{within: 4h}", "{within: 4h, until: data.due}"),
        "10:28",
        "'within' and 'until' exclude",
        "keep one",
    ),
    "neither until nor within": (SOUND.replace("{within: 4h}", "{calendar: 24x7}"), "10:15", "one of 'within' and 'until' is missing", ""),
    "same_time without bd": (SOUND.replace("4h}", "4h, at: same_time}"), "10:28", "goes with business days only", "within: 2bd"),
    "pausable without until": (SOUND.replace("4h}", "4h, pausable: true}"), "10:28", "'pausable' goes with 'until' only", ""),
    "until that is no path": (SOUND.replace("within: 4h", "until: promised_at"), "10:23", "not the path of a field", "data.some_field"),
    "resume without pause": (with_lines("resume: x"), "11:5", "'resume' without 'pause'", "what pauses"),
    "pause without a trigger": (with_lines("pause: {at_most: 2h}"), "11:12", "one of 'on' and 'while' is missing", ""),
    "reserved type": (with_lines("cancel: slawatch.breach.opened"), "11:13", "begin with slawatch. are reserved", ""),
    "reserved type in a list": (with_lines("cancel: [a, slawatch.x]"), "11:17", "are reserved", ""),
    "unknown role": (with_lines("cancel: {on: x, by: client}"), "11:25", "'client' is not possible", "customer"),
    "condition: syntax": (with_lines("when: data.priority = 1"), "11:25", "condition: Syntax error", "equality is =="),
    "condition: syntax, quoted": (with_lines('when: "data.priority = 1"'), "11:26", "condition: Syntax error", "equality is =="),
    "condition: unknown name": (with_lines("when: priority == 'P1'"), "11:11", "undeclared reference to 'priority'", "data.priority"),
    "condition: no boolean": (with_lines("when: 1 + 1"), "11:11", "must be true or false", ""),
    "condition: block text": (with_lines("when: |", "  data.x == 1 &&", "  oops"), "13:7", "undeclared reference to 'oops'", ""),
    "warning twice": (with_lines("warn_at: [50%, 50%]"), "11:20", "50% stands here twice", "once"),
    "warning at 100%": (with_lines("warn_at: [100%]"), "11:15", "between 0% and 100%", ""),
    "unknown calendar": (SOUND + "calendar: ofice\n---\n" + CALENDAR, "11:11", "there is no calendar 'ofice'", "did you mean office?"),
    "unknown calendar of a target": (SOUND.replace("4h}", "4h, calendar: x}"), "10:38", "there is no calendar 'x'", ""),
    "unknown zone": (SOUND + "timezone: Asia/Shangai\n", "11:11", "zone 'Asia/Shangai' is not known", "did you mean Asia/Shanghai?"),
    "zone by its city": (SOUND + "timezone: Shanghai\n", "11:11", "not known", "did you mean Asia/Shanghai?"),
    "version of zero": (SOUND + "version: 0\n", "11:10", "not a whole number of at least 1", ""),
    "no vendor at all": (SOUND.replace("vendor: acme", "vendor: []"), "4:9", "the list is empty", ""),
    "star beside names": (SOUND.replace("vendor: acme", 'vendor: ["*", b]'), "4:9", '"*" beside other names', "alone"),
    "vendor twice": (SOUND.replace("vendor: acme", "vendor: [b, b]"), "4:13", "b stands here twice", ""),
    "name with a slash": (SOUND.replace("name: acme", "name: a/b"), "3:7", "cannot be a name", "no slash"),
    "effective backwards": (SOUND + "effective: {from: 2026-05-01, to: 2026-04-01}\n", "11:35", "lies before effective.from", "exchange"),
    "impossible date": (SOUND + "effective: {from: 2026-02-30}\n", "11:19", "not a date", "2026-10-01"),
    "money without currency": (SOUND + "fee: 100\n", "11:6", "not an amount of money", '"500 CNY"'),
    "currency mismatch": (
        SOUND + '    penalty: {per_breach: "5 USD"}\nfee: "9 CNY"\n',
        "12:6",
        "CNY beside USD: an agreement has one currency",
        "in USD",
    ),
    "penalty of nothing": (with_lines('penalty: {at_most: "5 CNY"}'), "11:14", "costs nothing", "per_breach"),
    "tiers on a deadline": (with_lines("penalty: {tiers: []}"), "11:15", "has no key 'tiers'", "per_breach"),
    "started hours without a rate": (with_lines("penalty: {per_started_hour: true}"), "11:15", "needs 'per_hour_late'", ""),
    "same objective name": (
        with_objective("name: answer", *(line.strip() for line in DEADLINE.splitlines()[1:])),
        "11:11",
        "there is another objective 'answer'",
        "line 6",
    ),
    "reference to nothing": (
        with_objective("name: share", "kind: ratio", "of: {objective: anser}", "on_empty: met", 'target: ">= 95%"'),
        "13:21",
        "there is no objective 'anser'",
        "did you mean answer?",
    ),
    "reference to itself": (
        with_objective("name: share", "kind: ratio", "of: {objective: share}", "on_empty: met", 'target: ">= 95%"'),
        "13:21",
        "refers to itself",
        "answer",
    ),
    "reference to a level": (
        with_objective(*RATIO, 'target: ">= 95%"') + "  - {name: b, kind: ratio, of: {objective: share}, on_empty: met, target: '> 1%'}\n",
        "16:44",
        "'share' is windowed",
        "answer",
    ),
    "ratio without good": (
        with_objective("name: share", "kind: ratio", "of: {events: x}", "on_empty: met", 'target: ">= 95%"'),
        "13:18",
        "needs 'good'",
        "data.damaged == false",
    ),
    "target without comparison": (with_objective(*RATIO, "target: 95%"), "15:13", "'95%' is not a target", '">= 95%"'),
    "share over 100%": (with_objective(*RATIO, 'target: ">= 101%"'), "15:13", "not between 0% and 100%", ""),
    "number for a share": (with_objective(*RATIO, 'target: ">= 95"'), "15:13", "a share of 95 is impossible", 'write ">= 95%"'),
    "number for no share": (with_objective(*RATIO, 'target: ">= 950"'), "15:13", "a share of 950 is impossible", "percentage"),
    "never met": (with_objective(*RATIO, 'target: "> 100%"'), "15:13", "can never be met", ""),
    "always met": (with_objective(*RATIO, 'target: ">= 0%"'), "15:13", "is always met", ""),
    "on_empty left out": (with_objective(*RATIO[:3], 'target: ">= 95%"'), "11:5", "needs the key 'on_empty'", "met, no_data or breach"),
    "window malformed": (with_objective(*RATIO, 'target: ">= 95%"', "window: rolling"), "16:13", "is not a window", "rolling 30d"),
    "window's length malformed": (with_objective(*RATIO, 'target: ">= 95%"', "window: rolling 30"), "16:21", "not a duration", "30h"),
    "burn rule that never fires": (
        with_objective(*RATIO, 'target: ">= 50%"', "burn_rate: standard"),
        "16:16",
        "this burn rule can never fire",
        "below 2",
    ),
    "listed burn rule that never fires": (
        with_objective(*RATIO, 'target: ">= 90%"', "burn_rate: [{long: 1h, short: 5m, factor: 10, severity: page}]"),
        "16:47",
        "never fire",
        "below 10",
    ),
    "burn windows exchanged": (
        with_objective(*RATIO, 'target: ">= 99%"', "burn_rate: [{long: 5m, short: 1h, factor: 2, severity: page}]"),
        "16:35",
        "not shorter than the long one",
        "",
    ),
    "burn rate without a budget": (with_objective(*RATIO, 'target: ">= 100%"', "burn_rate: standard"), "16:5", "needs an error budget", ""),
    "tiers out of order": (
        with_objective(*RATIO, 'target: ">= 95%"', "penalty: {tiers: [{below: 90%, credit: 10%}, {below: 95%, credit: 5%}]}"),
        "16:58",
        "the tiers are out of order",
        "highest edge first",
    ),
    "tiers of two kinds": (
        with_objective(*RATIO, 'target: ">= 95%"', "penalty: {tiers: [{below: 90%, credit: 10%}, {above: 95%, credit: 5%}]}"),
        "16:50",
        "tiers of one list all say 'below'",
        "",
    ),
    "further tier gives less": (
        with_objective(*RATIO, 'target: ">= 95%"', "penalty: {tiers: [{below: 95%, credit: 10%}, {below: 90%, credit: 5%}]}"),
        "16:71",
        "gives less credit",
        "",
    ),
    "rewards out of order": (
        with_objective(*RATIO, 'target: ">= 95%"', "reward: {tiers: [{at_least: 99%, bonus: 2%}, {at_least: 98%, bonus: 3%}]}"),
        "16:61",
        "the tiers are out of order",
        "lowest edge first",
    ),
    "aggregate without field": (
        with_objective("name: a", "kind: aggregate", "of: {events: x}", "aggregate: avg", "on_empty: met", 'target: "> 4"'),
        "11:5",
        "avg needs the key 'field'",
        "data.score",
    ),
    "count with field": (
        with_objective(
            "name: a", "kind: aggregate", "of: {events: x}", "aggregate: count", "field: data.x", "on_empty: met", 'target: "< 4"'
        ),
        "15:5",
        "no meaning for count",
        "leave it out",
    ),
    "unknown aggregate": (
        with_objective(
            "name: a", "kind: aggregate", "of: {events: x}", "aggregate: mean", "field: data.x", "on_empty: met", 'target: "< 4"'
        ),
        "14:16",
        "'mean' is not an aggregate",
        "avg",
    ),
    "heartbeat without a rhythm": (
        with_objective("name: a", "kind: heartbeat", "on: x"),
        "11:5",
        "one of 'every' and 'due' is missing",
        "",
    ),
    "recurrence of hours": (
        with_objective("name: a", "kind: heartbeat", "on: x", 'due: {rrule: "FREQ=HOURLY", at: "18:00"}'),
        "14:18",
        "needs FREQ=DAILY",
        "MONTHLY",
    ),
    "recurrence that never occurs": (
        with_objective("name: a", "kind: heartbeat", "on: x", 'due: {rrule: "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", at: "18:00"}'),
        "14:18",
        "never occurs",
        "",
    ),
    "recurrence misspelt": (
        with_objective("name: a", "kind: heartbeat", "on: x", 'due: {rrule: "FREQ=MONTHLY;BYMONTDAY=3", at: "18:00"}'),
        "14:18",
        "unknown part BYMONTDAY",
        "did you mean BYMONTHDAY?",
    ),
    **{
        f"recurrence {rule}": (
            with_objective("name: a", "kind: heartbeat", "on: x", f'due: {{rrule: "{rule}", at: "18:00"}}'),
            "14:18",
            message,
            hint,
        )
        for rule, message, hint in (
            ("FREQ=DAILY;INTERVAL=0", "INTERVAL is a whole number of at least 1", "INTERVAL=2"),
            ("FREQ=DAILY;INTERVAL=-1", "INTERVAL is a whole number of at least 1", "INTERVAL=2"),
            ("FREQ=DAILY;INTERVAL= 0", "INTERVAL is a whole number of at least 1", "INTERVAL=2"),
            ("FREQ=MONTHLY;FREQ=DAILY", "says FREQ twice", "once"),
            ("FREQ=DAILY;INTERVAL=1;INTERVAL=0", "says INTERVAL twice", "once"),
            ("FREQ=WEEKLY;BYDAY=1MO", "1MO is a numbered day of a month or year, which does not go with FREQ=WEEKLY", "write MO"),
            ("FREQ=YEARLY;BYWEEKNO=3;BYDAY=2FR", "does not go with BYWEEKNO", "write FR"),
            ("FREQ=MONTHLY;BYDAY=6MO", "there is no day 6MO", "month has 5"),
            ("FREQ=YEARLY;BYDAY=0MO", "there is no day 0MO", "year has 53"),
            ("FREQ=MONTHLY;BYDAY=MO,1TU", "mixes numbered and plain days", "two objectives"),
            ("FREQ=MONTHLY;BYDAY=MO, TU", "' TU' is not possible in BYDAY", "only commas"),
            ("FREQ=WEEKLY;BYDAY=MON", "'MON' is not possible in BYDAY", "MO, TU"),
            ("FREQ=WEEKLY;BYMONTHDAY=3", "BYMONTHDAY does not go with FREQ=WEEKLY", "FREQ=DAILY or MONTHLY or YEARLY"),
            ("FREQ=MONTHLY;BYYEARDAY=3", "BYYEARDAY does not go with FREQ=MONTHLY", "FREQ=YEARLY"),
            ("FREQ=MONTHLY;BYWEEKNO=3", "BYWEEKNO does not go with FREQ=MONTHLY", "FREQ=YEARLY"),
            ("FREQ=MONTHLY;BYMONTHDAY=32", "'32' is not possible in BYMONTHDAY", "from 1 to 31, or -1 to -31 from the end"),
            ("FREQ=MONTHLY;BYMONTHDAY=0", "'0' is not possible in BYMONTHDAY", "from 1 to 31"),
            ("FREQ=MONTHLY;BYMONTHDAY=\uff15", "'\uff15' is not possible in BYMONTHDAY", "write FREQ=MONTHLY;BYMONTHDAY=5"),
            ("FREQ=YEARLY;BYMONTH=13", "'13' is not possible in BYMONTH", "from 1 to 12, only"),
            ("FREQ=YEARLY;BYMONTH=-1", "'-1' is not possible in BYMONTH", "from 1 to 12"),
            ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS picks from the days of another part", "BYDAY="),
            ("FREQ=DAILY;BYHOUR=9", "BYHOUR says a time of day", "at:"),
            ("FREQ=DAILY;COUNT=0", "no end of its own", "effective.to"),
            ("FREQ=DAILY;UNTIL=20200101", "no end of its own", "effective.to"),
            ("FREQ=DAILY;", "has an empty part", "semicolon"),
            ("FREQ=DAILY;BYDAY", "the part BYDAY of the recurrence says nothing", "BYDAY="),
            ("FREQ=DAILY;BYEASTER=1", "unknown part BYEASTER", ""),
            ("FREQ=WEEKLY;WKST=XX", "WKST=XX is not a day of the week", "WKST=MO"),
            ("FREQ=HOURLY;INTERVAL=0", "needs FREQ=DAILY", "MONTHLY"),
            ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never occurs", "1970-01-05"),
            ("FREQ=DAILY;BYMONTHDAY=31;BYMONTH=4,6", "never occurs", "1970-01-05"),
            ("FREQ=DAILY;BYDAY=MO;BYSETPOS=2", "never occurs", "1970-01-05"),
            ("FREQ=DAILY;INTERVAL=7;BYDAY=TU", "never occurs", "1970-01-05"),
        )
    },
    "recurrence that never occurs from the first day on": (
        with_objective("name: a", "kind: heartbeat", "on: x", 'due: {rrule: "FREQ=DAILY;INTERVAL=7;BYDAY=MO", at: "18:00"}')
        + "effective: {from: 2026-01-06}\n",
        "14:18",
        "never occurs",
        "counted from 2026-01-06",
    ),
    "due at an impossible time": (
        with_objective("name: a", "kind: heartbeat", "on: x", 'due: {rrule: "FREQ=DAILY", at: "25:00"}'),
        "14:36",
        "not a time of day",
        "",
    ),
    "calendar without working time": (calendar("hours: {mon: []}"), "5:8", "no working time at all", "mon-fri"),
    "calendar without hours": (calendar(), "1:1", "no working time at all", "24x7"),
    "calendar called 24x7": (CALENDAR.replace("office", "24x7"), "3:7", "24x7 is built in", "another name"),
    "empty window": (calendar('hours: {mon: ["00:00-00:00"]}'), "5:15", "00:00-00:00 is empty", "00:00-24:00"),
    "window malformed in hours": (calendar("hours: {mon: [9-17]}"), "5:15", "'9' is not a time of day", "09:00"),
    "window of one time": (calendar('hours: {mon: ["09:00"]}'), "5:15", "not a window of time", "09:00-17:00"),
    "window from 24:00": (calendar('hours: {mon: ["24:00-06:00"]}'), "5:15", "opens at 24:00", "00:00 of the next day"),
    "overlapping days": (
        calendar('hours: {mon-fri: ["09:00-17:00"], tue: ["10:00-12:00"]}'),
        "5:35",
        "tue is in 'mon-fri' and in 'tue'",
        "once",
    ),
    "unknown day": (calendar('hours: {monday: ["09:00-17:00"]}'), "5:9", "'monday' is not a day of the week", "write mon"),
    "two overrides for a date": (
        calendar('hours: {mon: ["09:00-17:00"]}', 'overrides: {2026-12-25: [], "2026-12-25": ["09:00-12:00"]}'),
        "6:29",
        "2026-12-25 stands here twice",
        "line 6",
    ),
    "override of no date": (calendar('hours: {mon: ["09:00-17:00"]}', "overrides: {25.12.2026: []}"), "6:13", "not a date", "2026-10-01"),
    "unknown country": (calendar('hours: {mon: ["09:00-17:00"]}', "holidays: XX"), "6:11", "holidays of 'XX' are not known", "ISO 3166"),
    "unknown subdivision": (calendar('hours: {mon: ["09:00-17:00"]}', "holidays: DE-XX"), "6:11", "DE has no subdivision 'XX'", ""),
    "same agreement twice": (SOUND + "---\n" + SOUND, "14:7", "agreement 'acme' version 1 stands here twice", "raise the version"),
    "same calendar twice": (CALENDAR + "---\n" + CALENDAR, "9:7", "calendar 'office' stands here twice", "another name"),
    "yaml: unquoted comparison": (with_objective(*RATIO, "target: >= 95%"), "15:14", "not YAML", "put the value in quotes"),
    "yaml: open bracket": (SOUND + "labels: [a\n", "11:9", "this bracket is not closed", "write ]"),
    "yaml: open quote": (SOUND.replace("name: acme", 'name: "acme'), "3:7", "this quote is not closed", "where the text ends"),
    "yaml: bare star": (SOUND.replace("vendor: acme", "vendor: *"), "4:10", "not YAML", 'stands in quotes: "*"'),
    "full-width duration": (SOUND.replace("4h", "\uff14\uff48"), "10:24", "is not a duration", "write 4h in ordinary characters"),
    "full-width number": (SOUND.replace("4h", "\uff14"), "10:24", "is not a duration", "4h or 4m"),
    "full-width condition": (with_lines("when: data.a \uff1d\uff1d 1"), "11:18", "token recognition", "write data.a == 1 in ordinary"),
    "days with a dash": (calendar("hours: {mon\u2013fri: '09:00-17:00'}"), "5:9", "not a day of the week", "write mon-fri with a hyphen"),
    "hours with a dash": (
        calendar("hours: {mon: '09:00\u201417:00'}"),
        "5:14",
        "not a window of time",
        "write 09:00-17:00 with a hyphen",
    ),
    "hours with a full-width colon": (
        calendar("hours: {mon: '09\uff1a00-17:00'}"),
        "5:14",
        "is not a time of day",
        "write 09:00-17:00 in ordinary characters",
    ),
    "key with a full-width colon": (
        SOUND.replace("within: 4h}", "within: 2bd, at\uff1asame_time}"),
        "10:29",
        "has no key",
        "write at: with an ordinary colon",
    ),
    "no item where one is needed": (SOUND.replace("[{within: 4h}]", "[]"), "10:14", "the list is empty", "write at least one item)"),
    "no item where none is needed": (
        SOUND + "service: []\n",
        "11:10",
        "the list is empty",
        "write at least one item, or leave out the key)",
    ),
    "nothing where something is needed": (SOUND.replace("start: opened", "start:"), "8:5", "a value is missing", "write one)"),
    "warning without a unit": (with_lines("warn_at: [80]"), "11:15", "neither a share nor a duration", "write 80% of the target, or"),
    "name that is too long": (SOUND.replace("name: acme", "name: " + "a" * 5_000), "3:7", "a name of 5000 characters", "write 200 at most"),
    "name with a control character": (SOUND.replace("name: acme", 'name: "a\\u0007b"'), "3:7", "control character U+0007", "leave it out"),
    "long text": (SOUND.replace("4h", "x" * 5_000), "10:24", f"'{'x' * 59}…' is not a duration", "write a number"),
    "condition: field with a hyphen": (
        with_lines("when: data.due-by == 1"),
        "11:20",
        "undeclared reference to 'by'",
        'write data["due-by"]',
    ),
    "path of a field with a hyphen": (
        SOUND.replace("within: 4h", "until: data.due-by"),
        "10:31",
        "not the path of a field",
        'write data["due-by"]',
    ),
    "condition: data misspelt": (with_lines("when: datta.ok"), "11:11", "undeclared reference to 'datta.ok'", "did you mean data.ok?"),
    "condition: an operator too many": (
        with_lines("when: data.a == && data.b"),
        "11:21",
        "extraneous input",
        "something is missing before",
    ),
    "condition: literal text": (
        with_lines("when: |", '    data.p == "P1" &&', "      data.q === 3"),
        "13:20",
        "token recognition",
        "equality is ==",
    ),
    "condition: folded text": (
        with_lines("when: >-", "  data.a == 1 &&", "  data.b == &&", "  data.c == 2"),
        "13:17",
        "extraneous",
        "missing",
    ),
    "condition: text of two lines": (
        with_lines("when: data.a == 1 &&", "  priority == 2"),
        "12:7",
        "undeclared reference",
        "data.priority",
    ),
    "condition: unfinished block text": (with_lines("when: |", "  data.a =="), "12:16", "mismatched input '<EOF>'", "something is missing"),
    "yaml: full-width colon": (SOUND.replace("vendor: acme", "vendor\uff1aacme"), "4:7", "a full-width colon", "write ': '"),
    "yaml: full-width colon in a list": (SOUND.replace("- name: answer", "- name\uff1aanswer"), "6:9", "a full-width colon", "write ': '"),
    "yaml: full-width colon in a text above": (
        SOUND.replace("vendor: acme", "description: |\n  \u6ce8\u610f\uff1ax\nvendor: acme") + "   severity: page\n",
        "13:4",
        "does not stand in the column",
        "indentation",
    ),
    "yaml: no colon": (SOUND.replace("vendor: acme", "vendor acme"), "4:1", "there is no ': ' after this key", "a colon and a blank"),
    "yaml: no colon at the end": (SOUND + "fee\n", "11:1", "there is no ': ' after this key", "a colon and a blank"),
    "yaml: indented too little": (SOUND + "   severity: page\n", "11:4", "does not stand in the column", "check the indentation"),
    "yaml: text behind a quote": (SOUND + 'fee: "5" CNY\n', "11:10", "more text behind the end", "the whole value in quotes"),
    "yaml: no comma": (SOUND.replace("[{within: 4h}]", "[{within: 4h} {within: 5h}]"), "10:28", "neither a comma", "write one"),
    "yaml: dash behind a key": (SOUND + "service: - a\n", "11:10", "cannot begin here", "on the next line"),
    "yaml: no-break space": (SOUND.replace("start: opened", "start:\u00a0opened"), "8:5", "not YAML", "no-break space"),
    "nothing at all": ("# to be written\n", "1:1", "there is no document", "apiVersion"),
    "list left empty": (HEAD + "objectives:\n", "5:1", "a value is missing", "after a dash"),
    "day of no year that counts": (SOUND + "effective: {to: 9999-12-31}\n", "11:17", "lies outside the years", "no end"),
    "override in no year that counts": (
        calendar('hours: {mon: ["09:00-17:00"]}', "overrides: {0001-01-01: []}"),
        "6:13",
        "lies outside the years",
        "",
    ),
    "share without its sign": (SOUND + "at_risk: 0.15\n", "11:10", "'0.15' is not a share", "write 15%"),
    "comparison turned round": (
        with_objective(*RATIO, 'target: "=> 95%"'),
        "15:13",
        "is not a target",
        'write a comparison and a value: ">= 95%"',
    ),
    "currency before the amount": (SOUND + "fee: USD 1,000\n", "11:6", "not an amount of money", '"1000 USD"'),
    "negative weight": (with_lines("weight: -1"), "11:13", "less than nothing", "at least 0"),
    "city that the zones leave out": (SOUND + "timezone: Asia/Beijing\n", "11:11", "not known", "write Asia/Shanghai"),
    "abbreviated zone": (SOUND + "timezone: CST\n", "11:11", "not known", "mean several zones"),
    "zone as an offset": (SOUND + "timezone: UTC+8\n", "11:11", "not known", "Etc/GMT-8"),
    "condition in words": (with_lines("when: data.a == 1 and data.b == 2"), "11:23", "mismatched input 'and'", "and is &&"),
    "condition with a function of another language": (with_lines("when: lower(data.a) == 'x'"), "11:16", "'lower'", "no such function"),
    "condition of two kinds": (with_lines("when: '\"a\" == 1'"), "11:16", "no matching overload", "of one kind"),
    "condition in printers' quotes": (with_lines("when: data.a == \u201cx\u201d"), "11:21", "token recognition", "straight quotes"),
    "unreachable behind what is always true": (
        SOUND.replace("[{within: 4h}]", "[{when: 'true', within: 4h}, {within: 8h}]"),
        "10:43",
        "this target is never reached",
        "is always 'true'",
    ),
    "same when, other blanks": (
        SOUND.replace("[{within: 4h}]", "[{when: data.a == 1, within: 4h}, {when: data.a==1, within: 8h}]"),
        "10:48",
        "this target is never reached",
        "same 'when'",
    ),
    "start that is a stop": (
        SOUND.replace("stop: closed", "stop: [closed, opened]"),
        "9:11",
        "'opened' is both 'start' and 'stop'",
        "when",
    ),
    "pause that resumes": (with_lines("pause: x", "resume: x"), "12:13", "'x' is both 'pause' and 'resume'", "when"),
    "down that is up": (
        with_objective("name: u", "kind: availability", "down: x", "up: x", 'target: ">= 99%"', "on_empty: met"),
        "14:9",
        "'x' is both 'down' and 'up'",
        "when",
    ),
    "warning before the start": (with_lines("warn_at: [50%, 4h]"), "11:14", "this warning never comes: 4h", "longest target"),
    "count that is always enough": (
        with_objective("name: n", "kind: aggregate", "of: {events: x}", "aggregate: count", 'target: ">= 0"', "on_empty: met"),
        "15:13",
        "always met",
        "never less than 0",
    ),
    "count that is never enough": (
        with_objective("name: n", "kind: aggregate", "of: {events: x}", "aggregate: count", 'target: "< 0"', "on_empty: met"),
        "15:13",
        "never be met",
        "whole number",
    ),
    "monday twice, over sunday": (
        calendar('hours: {mon: ["09:00-17:00"], sat-mon: ["09:00-10:00"]}'),
        "5:31",
        "mon is in 'mon' and in 'sat-mon'",
        "once",
    ),
    "monday twice, closed over sunday": (
        calendar('hours: {sun-mon: [], mon: ["09:00-10:00"]}'),
        "5:22",
        "mon is in 'sun-mon' and in 'mon'",
        "once",
    ),
    "target for no case": (
        SOUND.replace("[{within: 4h}]", "[{when: 'false', within: 4h}, {within: 8h}]"),
        "10:22",
        "this target is never reached",
        "always false",
    ),
    "target for no case, computed": (
        SOUND.replace("[{within: 4h}]", "[{when: '1 > 2', within: 4h}, {within: 8h}]"),
        "10:22",
        "this target is never reached",
        "always false",
    ),
    "same when, other quotes": (
        SOUND.replace("[{within: 4h}]", """[{when: 'data.p=="a b"', within: 4h}, {when: "data.p == 'a b'", within: 8h}]"""),
        "10:52",
        "this target is never reached",
        "same 'when'",
    ),
    "count of a share": (
        with_objective("name: n", "kind: aggregate", "of: {events: x}", "aggregate: count", 'target: "<= 5%"', "on_empty: met"),
        "15:13",
        "<= 5% is a share, and a count is a number",
        'write "<= 5"',
    ),
    "credit for a count by share": (
        with_objective("name: n", "kind: aggregate", "of: {events: x}", "aggregate: count", 'target: "<= 5"', "on_empty: met")
        + "    penalty: {tiers: [{above: 5%, credit: 1%}]}\n",
        "17:31",
        "5% is a share, and a count is a number",
        "write 5",
    ),
    "edge of a share without its sign": (
        with_objective(*RATIO, 'target: ">= 95%"', "penalty: {tiers: [{below: 95, credit: 10%}]}"),
        "16:31",
        "a share of 95 is impossible",
        "write 95%",
    ),
    "credit for good levels": (
        with_objective(*RATIO, 'target: ">= 95%"', "penalty: {tiers: [{above: 95%, credit: 10%}]}"),
        "16:24",
        "'above' is the good side of a target of >=",
        "write below",
    ),
    "bonus for bad levels": (
        with_objective(*RATIO, 'target: "<= 5%"', "reward: {tiers: [{at_least: 9%, bonus: 10%}]}"),
        "16:23",
        "'at_least' is the bad side of a target of <=",
        "write at_most",
    ),
    "earned back by bad levels": (
        with_objective(*RATIO, 'target: ">= 95%"', "earn_back: {periods: 2, at_most: 90%}"),
        "16:29",
        "'at_most' is the bad side of a target of >=",
        "write at_least",
    ),
    "cap below what one breach costs": (
        with_lines('penalty: {per_breach: "500 EUR", at_most: "200 EUR"}'),
        "11:47",
        "the cap of one breach is less than 'per_breach', 500 EUR",
        "raise the cap",
    ),
    "condition: text with a number": (with_lines("when: event.type == 3"), "11:11", "event.type is a text", 'such as "3"'),
    "condition: text in numbers": (with_lines("when: data.a || event.type in [3, 4]"), "11:21", "event.type is a text", 'such as "3"'),
    "condition: no instant": (
        with_lines("when: timestamp(data.at) > timestamp('2026-13-01T00:00:00Z')"),
        "11:32",
        "this can never be computed: string to Timestamp",
        "2026-01-31T00:00:00Z",
    ),
    "condition: division by zero": (with_lines("when: data.a || 1/0 == 1"), "11:22", "never be computed: divide by zero", "leave it out"),
    "heartbeat without end": (with_objective("name: h", "kind: heartbeat", "on: x", "every: 1ms"), "14:12", "too short", "1s"),
    "yaml: control character": (SOUND + "description: a\x07b\n", "11:15", "U+0007 is not allowed", "remove"),
    "yaml: key that is no text": (SOUND + "? [a]\n: b\n", "11:3", "a key must be a text", ""),
    "yaml: unknown alias": (SOUND + "calendar: *office\n", "11:11", "undefined alias", ""),
}


def test_a_document_that_is_too_large_is_told_to_be_split_and_aliases_only_where_there_are_any() -> None:
    (problem,) = load_text("a.yaml", "a: [" + "x, " * 100_001 + "]").problems
    assert (problem.message, problem.hint) == ("the document has more than 100000 parts", "split it into several documents")


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_reported_where_it_stands_with_what_to_write(case: str) -> None:
    text, place, message, hint = CASES[case]
    (problem,) = found(text)
    assert problem.startswith(f"a.yaml:{place}: error: ")
    said, _, hinted = problem.partition(" (hint: ")
    assert message in said
    assert hint in hinted


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "freq=weekly;byday=mo",
        "RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=+1MO,-1FR",
        "FREQ=YEARLY;BYDAY=53MO",
        "FREQ=YEARLY;INTERVAL=3;BYWEEKNO=53;BYDAY=MO;WKST=SU",
        "FREQ=YEARLY;INTERVAL=3;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYYEARDAY=-1,100",
        "FREQ=DAILY;BYMONTH=1;BYMONTHDAY=1",
    ],
)
def test_recurrences_that_occur_are_taken(rule: str) -> None:
    assert found(with_objective("name: a", "kind: heartbeat", "on: x", f'due: {{rrule: "{rule}", at: "18:00"}}')) == []


def test_a_recurrence_that_some_first_day_makes_occur_is_taken() -> None:
    tuesdays = with_objective("name: a", "kind: heartbeat", "on: x", 'due: {rrule: "FREQ=DAILY;INTERVAL=7;BYDAY=TU", at: "18:00"}')
    assert found(tuesdays + "timezone: Asia/Shanghai\neffective: {from: 2026-01-06}\n") == []


def test_all_problems_are_collected_not_only_the_first() -> None:
    text = SOUND.replace("4h", "4") + "    resume: x\n    wen: data.x\ncalendar: nowhere\n---\n" + CALENDAR.replace("Asia/Shanghai", "Mars")
    assert [problem.split(": error")[0] for problem in found(text)] == [
        "a.yaml:10:24",
        "a.yaml:11:5",
        "a.yaml:12:5",
        "a.yaml:13:11",
        "a.yaml:18:11",
    ]


def test_a_calendar_with_a_problem_is_still_known_to_those_who_name_it() -> None:
    assert len(found(SOUND + "calendar: office\n---\n" + CALENDAR.replace("09:00-18:00", "0900-1800"))) == 1


def test_loops_that_differ_in_which_variable_they_ask_are_two_conditions() -> None:
    one, other = (f"data.xs.exists(x, data.ys.exists(y, {asked} == 1))" for asked in "xy")
    text = SOUND.replace("[{within: 4h}]", f"[{{when: '{one}', within: 4h}}, {{when: '{other}', within: 8h}}]")
    assert load_text("terms.yaml", text).problems == ()


def test_what_is_sound_is_loaded_beside_what_is_not() -> None:
    loaded = load_text("a.yaml", SOUND + "---\n" + SOUND.replace("name: acme", "name: other").replace("4h", "4"))
    assert [agreement.name for agreement in loaded.agreements] == ["acme"]
    assert len(loaded.problems) == 1


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    good, latin = tmp_path / "good.yaml", tmp_path / "latin.yaml"
    good.write_text(SOUND, "utf-8")
    latin.write_bytes("name: Zürich".encode("latin-1"))
    loaded = load([good, tmp_path / "absent.yaml", latin])
    assert [problem.file for problem in loaded.problems] == [str(tmp_path / "absent.yaml"), str(latin)]
    assert len(bundles(loaded)) == 1
    with pytest.raises(LanguageError, match="not UTF-8") as wrong:
        load_or_raise([good, latin])
    assert wrong.value.problems == (loaded.problems[1],)


def test_a_huge_file_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(1 << 40)
    (problem,) = load([tmp_path / "huge.yaml"]).problems
    assert "larger than" in problem.message


def test_calendars_may_stand_in_another_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SOUND + "calendar: office\n", "utf-8")
    (tmp_path / "c.yaml").write_text(CALENDAR, "utf-8")
    assert load_or_raise([tmp_path / "a.yaml", tmp_path / "c.yaml"]).agreements[0].calendar == "office"
    known = load_or_raise([tmp_path / "c.yaml"]).calendars
    assert load_text("a.yaml", SOUND + "calendar: office\n", known).problems == ()


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]),  # billion laughs
        "a: &a [*a]",
        "[" * 5_000,
        "{a: " * 200 + "}" * 200,
        "x" * 3_000_000,
    ],
)
def test_hostile_documents_are_refused(text: str) -> None:
    (problem,) = load_text("a.yaml", text).problems
    assert "a.yaml:1:1" in str(problem)
