"""Customers' templates: what they may say, that they always end, and that a broken one never keeps a message from going out."""

from pathlib import Path

import pytest
import structlog

from services.notifier.channels.chat import MARKUP, escape
from services.notifier.channels.layout import Layout
from services.notifier.texts import TEXTS
from shared.language.templates import OUTPUT_MAX, SOURCE_MAX, BadTemplate, Template, TemplateFailed
from tests.unit.notifier.kit import EVIL, digest, linked, notice

EXAMPLE = """\
*{{ vendor }}* / {{ objective | upper }}: {{ headline | truncate(40) }}
{% if reason == "first" and severity == "page" %}wake up{% else %}later{% endif %}

{% for fact in facts %}
{{ fact.label }}={{ fact.value }}
{% endfor %}
<{{ acknowledge }}|ack> <{{ runbook }}|how>
"""


def said(source: str, case: str = "INC-42") -> str:
    return Layout(TEXTS, MARKUP, Template(source, escape), channel="c").text(notice(case))


def test_a_template_replaces_the_text() -> None:
    text = Layout(TEXTS, MARKUP, Template(EXAMPLE, escape)).text(linked())
    assert text.startswith("*acme* / RESOLUTION: acme broke “resolution” for INC-42\nwake up")
    assert "Due=2026-03-02 09:00:00 UTC" in text
    assert text.endswith("<https://sla.example/act/AAA|ack> <https://wiki.example/run?a=1&b=2|how>")


def test_the_example_of_the_guide_works() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guide" / "on-call.md").read_text()
    block = guide.split("### Templates of your own")[1].split("| value |")[0]
    source = "\n".join(line[4:] for line in block.splitlines() if line.startswith("    "))
    text = Layout(TEXTS, MARKUP, Template(source, escape)).text(linked())
    assert text.startswith("<!here> *BREACH* acme broke “resolution” for INC-42\nPromise: resolution")
    assert text.endswith("<https://sla.example/act/AAA|I have it>")


def test_values_of_others_are_escaped_in_it_and_its_own_words_are_not() -> None:
    text = said("*{{ case }}* <!here>", EVIL)
    assert text.count("<") == 1
    assert "\n" not in text
    assert text.startswith("*INC-1 Bcc: eve@example.com &lt;!channel&gt;")


def test_a_digest_has_its_messages() -> None:
    source = "{{ total }}/{{ open }}{% for message in messages %} {{ message.case }}{% if not message.is_open %}!{% endif %}{% endfor %}"
    assert Layout(TEXTS, MARKUP, Template(source)).text(digest(4, 30)) == "30/3 case-0 case-1 case-2! case-3"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ case", "line 1"),
        ("\n{% if %}", "line 2"),
        ("{% for i in range(10**9) %}{% endfor %}", "loop goes over one of the values"),
        ("{% for a in facts %}{% for b in facts %}{% for c in facts %}x{% endfor %}{% endfor %}{% endfor %}", "at most 2 loops"),
        ("{% for a in facts recursive %}{{ loop(facts) }}{% endfor %}", "recursive"),
        ("{{ 'x' * 1000000000 }}", "mul"),
        ("{{ 9 ** 9 ** 9 }}", "pow"),
        ("{{ '%1000000000d' % 1 }}", "mod"),
        ("{{ case.zfill(1000000000) }}", "call"),
        ("{{ case.__class__.__mro__ }}", "__mro__ is not a value"),
        ("{{ case['__class__'] }}{{ cycler['__init__'] }}", None),
        ("{% set a = 'x' %}{{ a ~ a }}", "assign"),
        ("{% macro m() %}{{ m() }}{% endmacro %}", "macro"),
        ("{% include '/etc/passwd' %}", "include"),
        ("{% import 'os' as o %}", "import"),
        ("{{ case | center(1000000000) }}", "center"),
        ("{{ case | replace('I', case) }}", "replace"),
        ("{{ facts | map('upper') | list }}", "No filter"),
        ("(" * 10 + "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "deep"),
        ("x" * (SOURCE_MAX + 1), str(SOURCE_MAX)),
    ],
)
def test_what_could_last_or_reach_out_is_refused_with_its_place(source: str, why: str | None) -> None:
    if why is None:  # parses, but gives nothing
        with pytest.raises(TemplateFailed):
            Template(source).render({"case": "x"})
        return
    with pytest.raises(BadTemplate, match=why.replace("(", r"\(")):
        Template(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ typo }}",
        "{{ case.typo }}",
        "   ",
        "{{ facts - 1 }}",
        "{{ case | round }}",
        "{% for x in total %}{% endfor %}",
        "{{ case | int + case }}",
    ],
)
def test_one_that_fails_falls_back_to_the_built_in_text_loudly(source: str) -> None:
    with structlog.testing.capture_logs() as logs:
        text = said(source)
    assert "*BREACH* acme broke “resolution” for INC-42" in text
    assert "This channel's template does not work" in text
    assert [(line["log_level"], line["channel"]) for line in logs] == [("error", "c")]


def test_output_is_bounded() -> None:
    source = "{% for a in facts %}{% for b in facts %}" + "x" * 16_000 + "{% endfor %}{% endfor %}"
    with pytest.raises(TemplateFailed, match=str(OUTPUT_MAX)):
        Template(source).render({"facts": [1] * 10_000})
    assert len(said("y" * 10_000)) <= MARKUP.most


def test_a_test_says_that_it_is_one_whatever_the_template_says() -> None:
    layout = Layout(TEXTS, MARKUP, Template("{{ tag }} {{ headline }}", escape), channel="c")
    assert "This is a test of the channel: nothing is broken." in layout.text(notice(reason="test"))
    assert "This is a test" not in layout.text(notice())
