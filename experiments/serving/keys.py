"""Keys: who may ask what; a key is a secret of one tenant with one role, stored as its hash."""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

from .store import Store

ROLES = ("app", "coach", "admin")  # each may do what those before it may


class Caller(NamedTuple):
    """Who is asking."""

    tenant: str
    role: str
    name: str

    def may(self, role: str) -> bool:
        """Return whether this caller has at least `role`."""
        return ROLES.index(self.role) >= ROLES.index(role)


def issue(store: Store, tenant: str, role: str, name: str) -> str:
    """Return a new key, shown this once; ValueError for a role that does not exist."""
    if role not in ROLES:
        raise ValueError(f"no role {role!r}; there are {list(ROLES)}")
    key = secrets.token_urlsafe(32)
    with store.transaction():
        store.run("INSERT INTO keys VALUES (?, ?, ?, ?)", [_digest(key), tenant, role, name])
    return key


def caller(store: Store, key: str) -> Caller | None:
    """Return who holds `key`, None when nobody does."""
    found = store.rows("SELECT tenant, role, name FROM keys WHERE digest = ?", [_digest(key)])
    return Caller(*found[0]) if found else None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
