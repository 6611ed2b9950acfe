"""`/docs`: the OpenAPI of a service as one plain page. No script, nothing from other sites, so that it works in a closed network."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

_METHODS: Final = ("get", "put", "post", "delete", "patch")
_STYLE: Final = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h2{margin-top:2.2rem;border-top:1px solid #8885;padding-top:1rem;font-size:1.1rem;overflow-wrap:anywhere}code,pre{font-size:.9em}
.method{display:inline-block;min-width:4.2rem;font-weight:700;text-transform:uppercase}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-top:1px solid #8884}
th{font-weight:600}nav li{overflow-wrap:anywhere}.dim{opacity:.75}pre{overflow-x:auto;padding:.6rem;border:1px solid #8884}
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{_HASH}'"


def install(app: FastAPI) -> None:
    """Serve the page; the application is made with `docs_url=None`."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": _POLICY})


def page(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    title = escape(document["info"]["title"])
    operations = [(path, method, item[method]) for path, item in document["paths"].items() for method in _METHODS if method in item]
    body = [f"<h1>{title}</h1>", _paragraphs(document["info"].get("description", ""))]
    body.append('<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p><nav aria-label="Operations"><ul>')
    for path, method, operation in operations:
        link = f'<a href="#{_anchor(method, path)}"><span class="method">{method}</span> {escape(path)}</a>'
        body.append(f"<li>{link} {escape(operation.get('summary', ''))}</li>")
    body.append("</ul></nav><main>")
    for path, method, operation in operations:
        body += _operation(path, method, operation)
    body.append("<h1>Schemas</h1>")
    for name, schema in sorted(document.get("components", {}).get("schemas", {}).items()):
        body.append(f'<h2 id="s-{escape(name)}">{escape(name)}</h2>{_paragraphs(schema.get("description", ""))}{_fields(schema)}')
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{title}</title><style>{_STYLE}</style>"
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</main></body></html>'


def _anchor(method: str, path: str) -> str:
    return escape(f"{method}-{path}".replace("/", "-").replace("{", "").replace("}", ""))


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{_anchor(method, path)}"><span class="method">{method}</span> <code>{escape(path)}</code></h2>'
    yield f"<p><strong>{escape(operation.get('summary', ''))}</strong></p>{_paragraphs(operation.get('description', ''))}"
    if operation.get("parameters"):
        yield _table(("parameter", "type", ""), [_parameter(each) for each in operation["parameters"]])
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body, <code>{escape(kind)}</code>: {_type(content.get('schema', {}))}</p>"
    rows = []
    for status, answer in operation.get("responses", {}).items():
        bodies = answer.get("content", {}).items()
        shapes = ", ".join(f"<code>{escape(kind)}</code> {_type(content.get('schema', {}))}" for kind, content in bodies)
        rows.append((escape(status), escape(answer.get("description", "")), shapes))
    yield _table(("status", "means", "body"), rows)


def _parameter(parameter: dict[str, Any]) -> tuple[str, ...]:
    place = parameter["in"] + (", required" if parameter.get("required") else "")
    name = f'{escape(parameter["name"])} <span class="dim">({place})</span>'
    return name, _type(parameter["schema"]), escape(parameter.get("description", ""))


def _fields(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = []
    for name, field in schema.get("properties", {}).items():
        shown = escape(name) + (' <span class="dim">(required)</span>' if name in required else "")
        rows.append((shown, _type(field), escape(field.get("description", ""))))
    return _table(("field", "type", ""), rows) if rows else f"<p>{_type(schema)}</p>"


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words, linked where it has a name."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#s-{name}">{name}</a>'
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " or ".join(_type(each) for each in schema[key])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return escape(str(schema.get("type", "anything")))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'
