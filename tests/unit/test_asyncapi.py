"""The committed AsyncAPI document is the one that the code makes, and real records are what it says."""

import json

from shared.runtime import asyncapi
from shared.wire import controls


def test_no_drift() -> None:
    assert asyncapi.FILE.read_text("utf-8") == asyncapi.text(), "run `make reference`, and look at what changed"


def test_every_reference_leads_somewhere_and_every_control_record_is_there() -> None:
    document = asyncapi.document()
    schemas = document["components"]["schemas"]
    told = json.dumps(document)
    for place in told.split('"$ref": "#/components/schemas/')[1:]:
        assert place.split('"')[0] in schemas
    assert set(document["channels"]["events"]["messages"]) == {"event", *controls.KINDS}
    assert "restate" in schemas["Activation"]["properties"]
    assert "breach_id" in schemas["VerdictData"]["properties"]
