"""A client of permalink-milter's HTTP API: reserve and confirm."""

from __future__ import annotations

import json
from http.client import HTTPException
from typing import Any, Dict
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from .errors import Later, Refused
from .settings import API

_MAX_ANSWER = 1 << 20


class _NoRedirect(HTTPRedirectHandler):
    """Refuses redirects, which would send the token to another server."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class Client:
    """Calls the API.  It reads the token file for each call, so that a new token
    needs no restart."""

    def __init__(self, api: API) -> None:
        self._api = api
        self._opener = build_opener(_NoRedirect, ProxyHandler({}))

    def reserve(self, list_address: str, message_hash: str, identity: str) -> str:
        """Return the token of a message: the one that it holds, or a new one.
        Raises Later or Refused."""
        body = {"list": list_address, "hash": message_hash, "identity": identity}
        token = self._call("POST", "/reservations", body).get("token")
        if not isinstance(token, str) or not token.upper().startswith(message_hash):
            raise Later(f"the API answered with the token {token!r} for the hash {message_hash}")
        return token

    def confirm(self, list_address: str, token: str, identity: str, url: str, subject: str) -> None:
        """Confirm that a message is archived at a URL.  Raises Later or
        Refused."""
        path = f"/reservations/{quote(list_address, safe='@')}/{quote(token, safe='')}/archived"
        self._call("PUT", path, {"identity": identity, "url": url, "subject": subject})

    def _call(self, method: str, path: str, body: Dict[str, str]) -> Dict[str, Any]:
        request = Request(self._api.base_url + "/api/v1" + path, json.dumps(body).encode("utf-8"), method=method)
        request.add_header("Content-Type", "application/json")
        request.add_header("Authorization", "Bearer " + self._token())
        try:
            with self._opener.open(request, timeout=self._api.timeout) as response:
                answer = json.loads(response.read(_MAX_ANSWER))
        except HTTPError as error:
            with error:
                raise _failure(error.code, _detail(error)) from None
        except (OSError, HTTPException, ValueError) as error:
            raise Later(f"{method} {self._api.base_url}: {error}") from error
        if not isinstance(answer, dict):
            raise Later(f"{method} {self._api.base_url}: the answer is not a JSON object")
        return answer

    def _token(self) -> str:
        try:
            return self._api.token_file.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise Later(f"token_file: {error}") from error


def _detail(error: HTTPError) -> str:
    """Return the detail of a problem (RFC 9457), or the reason of the status."""
    try:
        return str(json.loads(error.read(_MAX_ANSWER))["detail"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError):
        return error.reason


# The operator can correct a wrong token, a missing scope and a wrong base_url;
# messages wait until then.
_WAITS = {401, 403, 405, 408, 425, 429}


def _failure(status: int, detail: str) -> Exception:
    if 400 <= status < 500 and status not in _WAITS:
        return Refused(f"HTTP {status}: {detail}")
    return Later(f"HTTP {status}: {detail}")
