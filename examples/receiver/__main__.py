"""An example of a webhook's receiver: checks the signature, drops repetitions, answers 204.

    WEBHOOK_SECRET=whsec_… python -m examples.receiver --port 8009 --verbose

slawatch posts the verdict as a CloudEvent, at least once, always with the same `webhook-id`.
"""

import argparse
import base64
import hmac
import json
import os
import signal
import sys
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REMEMBERED = 10_000
BODY_BYTES_MAX = 1_000_000


def is_genuine(secret: str, message_id: str, timestamp: str, body: bytes, signatures: str) -> bool:
    """Whether one of the signatures (`v1,<base64>`, separated by spaces) is that of `id.timestamp.body` under the secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")).decode()
    return any(hmac.compare_digest(f"v1,{digest}", given) for given in signatures.split())


class Receiver(ThreadingHTTPServer):
    """Remembers the ids it has seen."""

    daemon_threads = True

    def __init__(self, port: int, secret: str, *, verbose: bool) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.secret, self.verbose = secret, verbose
        self.seen: OrderedDict[str, None] = OrderedDict()

    def is_new(self, message_id: str) -> bool:
        """Whether this id comes for the first time."""
        if message_id in self.seen:
            return False
        self.seen[message_id] = None
        if len(self.seen) > REMEMBERED:
            self.seen.popitem(last=False)
        return True


class Handler(BaseHTTPRequestHandler):
    """One webhook."""

    server: Receiver
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """204: taken; 401: not signed by slawatch."""
        length = int(self.headers.get("content-length", "0"))
        if length > BODY_BYTES_MAX:
            self._answer(413)
            return
        body = self.rfile.read(length)
        message_id, timestamp = self.headers.get("webhook-id", ""), self.headers.get("webhook-timestamp", "")
        if not is_genuine(self.server.secret, message_id, timestamp, body, self.headers.get("webhook-signature", "")):
            self._answer(401)
            return
        if self.server.is_new(message_id) and self.server.verbose:
            verdict = json.loads(body)
            print(f"received {verdict['type']} {verdict['subject']}", flush=True)
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Quiet."""


def _end(*_: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C at a terminal is often followed by a supervisor's SIGTERM
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.receiver", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True, help="port on loopback")
    parser.add_argument("--verbose", action="store_true", help="a line for each webhook")
    arguments = parser.parse_args()
    secret = os.environ.get("WEBHOOK_SECRET", "")
    if not secret.startswith("whsec_"):
        sys.exit("set WEBHOOK_SECRET to the secret of SLAWATCH_WEBHOOK_SECRET, whsec_…")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    Receiver(arguments.port, secret, verbose=arguments.verbose).serve_forever()


if __name__ == "__main__":
    main()
