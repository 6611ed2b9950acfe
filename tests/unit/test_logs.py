"""Log lines: one JSON object a line, whatever others wrote, and no secret of ours in it."""

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, structlog
from shared.runtime.logs import configure
configure("test", "info")
key = "slw_local_0123456789ab_" + "c0ffee" * 8 + "_deadbeef"
structlog.get_logger().info("posted", case="INC-1\\r\\n{\\"level\\": \\"error\\"}", header="Bearer " + key, more={"key": [key]})
logging.getLogger("other").warning("signed with whsec_%s\\nforged", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
try:
    raise ValueError(key)
except ValueError:
    structlog.get_logger().exception("failed")
"""


def test_row_24_secrets_are_masked_and_a_line_stays_one_line() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=root, timeout=60)
    posted, signed, failed = [json.loads(line) for line in done.stderr.splitlines()]
    assert posted["case"] == 'INC-1\r\n{"level": "error"}'
    assert posted["level"] == "info"
    assert posted["more"] == {"key": ["slw_local_0123456789ab***"]}, "which key it is stays to be seen"
    assert signed["event"] == "signed with whsec_***\nforged"
    assert "ValueError: slw_local_0123456789ab***" in failed["exception"]
    for secret in ("c0ffee", "deadbeef", "MfKQ9r8G"):
        assert secret not in done.stderr
