"""The tables of the store, and how SQLite is told to keep them."""

from __future__ import annotations

TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS head (id INTEGER PRIMARY KEY, seq BIGINT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS ledger (
    seq {number} PRIMARY KEY, tenant TEXT NOT NULL, learner TEXT, kind TEXT NOT NULL, request TEXT NOT NULL,
    time DOUBLE PRECISION NOT NULL, body TEXT NOT NULL, hash TEXT NOT NULL, UNIQUE (tenant, request)
);
CREATE INDEX IF NOT EXISTS ledger_learner ON ledger (tenant, learner, seq);
CREATE TABLE IF NOT EXISTS learners (
    tenant TEXT NOT NULL, id TEXT NOT NULL, bundle TEXT NOT NULL, record {bytes} NOT NULL,
    seen DOUBLE PRECISION NOT NULL, state TEXT NOT NULL, attention TEXT, PRIMARY KEY (tenant, id)
);
DROP INDEX IF EXISTS learners_attention;
CREATE TABLE IF NOT EXISTS keys (digest TEXT PRIMARY KEY, tenant TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL);
"""
# So a savepoint makes no file, and pages that change again and again are copied back less often.
PRAGMAS = "journal_mode=WAL synchronous=FULL foreign_keys=ON cache_size=-8000 temp_store=MEMORY wal_autocheckpoint=4000"
