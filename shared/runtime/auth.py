"""Who calls: the FastAPI dependency that every route but health, metrics and docs has."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.ports.credentials import Credential, CredentialsUnavailable, Kind
from shared.runtime.credentials import Authenticator, BadCredential
from shared.runtime.problems import Problem, unavailable

_bearer = HTTPBearer(auto_error=False, description="a key or token: `Authorization: Bearer slw_…`")


def install(app: FastAPI, authenticator: Authenticator) -> None:
    """Tell the application who recognises its callers."""
    app.state.authenticator = authenticator


def _unauthorized(detail: str, error: str = "") -> Problem:
    challenge = 'Bearer realm="slawatch"' + (f', error="{error}"' if error else "")
    return Problem(401, "unauthorized", "Not signed in", detail, headers={"WWW-Authenticate": challenge})


def require_role(*roles: str, kind: Kind | None = None) -> Callable[..., Awaitable[Credential]]:
    """A dependency that gives the caller's credential: `Depends(require_role("viewer", "vendor"))`.

    Answers 401 without an acceptable one, 403 for another role or kind (`key`: systems only), 503 while that cannot be known.
    """

    async def dependency(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> Credential:
        if given is None:
            raise _unauthorized("send the header: Authorization: Bearer <key or token>")
        authenticator: Authenticator = request.app.state.authenticator
        try:
            credential = await authenticator.authenticate(given.credentials)
        except BadCredential as wrong:
            raise _unauthorized(str(wrong), "invalid_token") from None
        except CredentialsUnavailable:
            raise unavailable("keys cannot be looked up right now") from None
        request.state.credential = credential.id
        if credential.role not in roles or kind not in (None, credential.kind):
            who = f"{kind or 'key or token'} of role {' or '.join(roles)}"
            raise Problem(403, "forbidden", "Not allowed", f"needs a {who}; this is a {credential.kind} of role {credential.role}")
        return credential

    return dependency
