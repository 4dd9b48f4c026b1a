"""Keys: who may ask what; a key is a secret of one tenant with one role, stored as its hash."""

from __future__ import annotations

import hashlib
import secrets
import time
from typing import NamedTuple

from .store import Store

ROLES = ("app", "coach", "admin")  # each may do what those before it may
SHOWN = 12  # digits of a key's digest by which people name it


class Caller(NamedTuple):
    """Who is asking."""

    tenant: str
    role: str
    name: str

    def may(self, role: str) -> bool:
        """Return whether this caller has at least `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Callers:
    """Who holds which key; looked up again after `seconds`, so that a revoked key opens nothing for longer."""

    def __init__(self, store: Store, seconds: float = 0.5) -> None:
        self.store, self.seconds = store, seconds
        self._known: dict[str, Caller] = {}
        self._until = 0.0

    def of(self, authorization: str) -> Caller | None:
        """Return who says `Bearer KEY`, None when it is nobody."""
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key:
            return None
        if (now := time.monotonic()) >= self._until:
            self._known, self._until = {}, now + self.seconds
        found = self._known.get(key) or caller(self.store, key)
        if found is not None:
            self._known[key] = found
        return found


def issue(store: Store, tenant: str, role: str, name: str, by: str = "the command line") -> str:
    """Return a new key, shown this once; the ledger says who made it. ValueError for a role that does not exist."""
    if role not in ROLES:
        raise ValueError(f"no role {role!r}; there are {list(ROLES)}")
    key = secrets.token_urlsafe(32)
    digest = _digest(key)
    with store.transaction():
        store.run("INSERT INTO keys VALUES (?, ?, ?, ?)", [digest, tenant, role, name])
        _note(store, tenant, "key", digest, {"role": role, "name": name, "by": by})
    return key


def revoke(store: Store, tenant: str, which: str, by: str = "the command line") -> list[str]:
    """Take back the tenant's keys of the name `which`, or the one key whose id it is; return their ids.

    The ledger says who took them back. LookupError lists the tenant's keys when none is called so.
    """
    with store.transaction():
        found = store.rows("SELECT digest, role, name FROM keys WHERE tenant = ? ORDER BY name, digest", [tenant])
        gone = [row for row in found if which in (row[2], row[0][:SHOWN])]
        if not gone:
            there = ", ".join(f"{digest[:SHOWN]} ({role}, {name!r})" for digest, role, name in found) or "none"
            raise LookupError(f"tenant {tenant!r} has no key with the name or id {which!r}; there are: {there}")
        for digest, role, name in gone:
            store.run("DELETE FROM keys WHERE digest = ?", [digest])
            _note(store, tenant, "revoke", digest, {"role": role, "name": name, "by": by})
    return [digest[:SHOWN] for digest, _, _ in gone]


def caller(store: Store, key: str) -> Caller | None:
    """Return who holds `key`, None when nobody does."""
    found = store.rows("SELECT tenant, role, name FROM keys WHERE digest = ?", [_digest(key)])
    return Caller(*found[0]) if found else None


def _note(store: Store, tenant: str, kind: str, digest: str, body: dict[str, str]) -> None:
    request = f"{kind}:{secrets.token_hex(12)}"  # no client uses that
    store.append(tenant, None, kind, request, time.time(), {"id": digest[:SHOWN]} | body)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode(errors="replace")).hexdigest()
