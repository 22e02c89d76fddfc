-- The fleet's tables, the same for SQLite and PostgreSQL. Times are microseconds
-- since 1970 in UTC, 0 is none. BYTEA is PostgreSQL's word; SQLite keeps blobs in a
-- column of any type as they are.

-- +goose Up
CREATE TABLE hosts (
	id       TEXT PRIMARY KEY,
	name     TEXT NOT NULL UNIQUE,
	sort     BYTEA NOT NULL, -- the name's bytes: one order whatever the locale
	kind     TEXT NOT NULL,  -- the group
	hostname TEXT NOT NULL,
	serial   TEXT NOT NULL,
	uuid     TEXT NOT NULL,
	macs     TEXT NOT NULL,  -- JSON
	networks TEXT NOT NULL,  -- JSON
	created  BIGINT NOT NULL,
	key      TEXT NOT NULL,
	joined   BIGINT NOT NULL,
	revoked  BIGINT NOT NULL,
	seen     BIGINT NOT NULL
);
CREATE UNIQUE INDEX hosts_sort ON hosts (sort);
CREATE INDEX hosts_kind ON hosts (kind, sort);
CREATE UNIQUE INDEX hosts_key ON hosts (key) WHERE key <> '';
CREATE INDEX hosts_hostname ON hosts (hostname) WHERE hostname <> '';
CREATE INDEX hosts_serial ON hosts (serial) WHERE serial <> '';
CREATE INDEX hosts_uuid ON hosts (uuid) WHERE uuid <> '';

CREATE TABLE host_macs (
	host TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
	mac  TEXT NOT NULL,
	PRIMARY KEY (host, mac)
);
CREATE INDEX host_macs_mac ON host_macs (mac);

CREATE TABLE enrolments (
	host    TEXT PRIMARY KEY REFERENCES hosts ON DELETE CASCADE,
	hash    TEXT NOT NULL UNIQUE,
	expires BIGINT NOT NULL,
	author  TEXT NOT NULL
);
CREATE INDEX enrolments_expires ON enrolments (expires);

CREATE TABLE reports (
	host     TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
	id       TEXT NOT NULL,
	system   TEXT NOT NULL,
	kind     TEXT NOT NULL,
	state    TEXT NOT NULL,
	started  BIGINT NOT NULL,
	ended    BIGINT NOT NULL,
	received BIGINT NOT NULL,
	point    TEXT NOT NULL,
	bytes    BIGINT NOT NULL,
	rto      DOUBLE PRECISION NOT NULL,
	rpo      DOUBLE PRECISION NOT NULL,
	detail   BYTEA,
	PRIMARY KEY (host, id)
);
CREATE INDEX reports_started ON reports (host, started, id);

CREATE TABLE protections (
	host       TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
	system     TEXT NOT NULL,
	profile    TEXT NOT NULL,
	point      TEXT NOT NULL,
	point_at   BIGINT NOT NULL,
	verify_at  BIGINT NOT NULL,
	drill_at   BIGINT NOT NULL,
	last_state TEXT NOT NULL,
	last_at    BIGINT NOT NULL,
	last_error TEXT NOT NULL,
	objectives TEXT NOT NULL, -- JSON
	PRIMARY KEY (host, system)
);

CREATE TABLE runs (
	host    TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
	id      TEXT NOT NULL,
	system  TEXT NOT NULL,
	kind    TEXT NOT NULL,
	state   TEXT NOT NULL,
	started BIGINT NOT NULL,
	updated BIGINT NOT NULL,
	kept    BOOLEAN NOT NULL, -- its events were not swept yet
	PRIMARY KEY (host, id)
);
CREATE INDEX runs_host_started ON runs (host, started, id);
CREATE INDEX runs_started ON runs (started, host, id);
CREATE INDEX runs_kept ON runs (updated) WHERE kept;

CREATE TABLE events (
	host TEXT NOT NULL,
	run  TEXT NOT NULL,
	seq  BIGINT NOT NULL,
	time BIGINT NOT NULL,
	data BYTEA,
	PRIMARY KEY (host, run, seq),
	FOREIGN KEY (host, run) REFERENCES runs ON DELETE CASCADE
);

CREATE TABLE versions (
	host    TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
	number  BIGINT NOT NULL,
	created BIGINT NOT NULL,
	digest  TEXT NOT NULL,
	open    BYTEA,
	secret  BYTEA,
	report  TEXT NOT NULL,
	PRIMARY KEY (host, number)
);

CREATE TABLE codes (
	lookup  TEXT PRIMARY KEY,
	host    TEXT NOT NULL REFERENCES hosts ON DELETE CASCADE,
	version BIGINT NOT NULL,
	sealed  BYTEA,
	issued  BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	author  TEXT NOT NULL,
	nonce   TEXT NOT NULL,
	spent   BIGINT NOT NULL
);
CREATE INDEX codes_host ON codes (host, issued);
CREATE INDEX codes_expires ON codes (expires);

CREATE TABLE windows (
	host    TEXT PRIMARY KEY REFERENCES hosts ON DELETE CASCADE,
	expires BIGINT NOT NULL,
	author  TEXT NOT NULL,
	address TEXT NOT NULL
);
CREATE INDEX windows_expires ON windows (expires);

CREATE TABLE users (
	name     TEXT PRIMARY KEY,
	role     TEXT NOT NULL,
	password TEXT NOT NULL,
	totp     BYTEA,
	step     BIGINT NOT NULL,
	subject  TEXT NOT NULL,
	created  BIGINT NOT NULL,
	disabled BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX users_subject ON users (subject) WHERE subject <> '';

CREATE TABLE sessions (
	hash    TEXT PRIMARY KEY,
	person  TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
	csrf    TEXT NOT NULL,
	created BIGINT NOT NULL,
	used    BIGINT NOT NULL,
	expires BIGINT NOT NULL
);
CREATE INDEX sessions_person ON sessions (person);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE tokens (
	id      TEXT PRIMARY KEY,
	name    TEXT NOT NULL UNIQUE,
	hash    TEXT NOT NULL UNIQUE,
	role    TEXT NOT NULL,
	author  TEXT NOT NULL,
	created BIGINT NOT NULL,
	expires BIGINT NOT NULL,
	used    BIGINT NOT NULL
);

CREATE TABLE settings (
	key   TEXT PRIMARY KEY,
	value BYTEA
);

CREATE TABLE leases (
	job    TEXT PRIMARY KEY,
	holder TEXT NOT NULL,
	until  BIGINT NOT NULL
);

CREATE TABLE audit (
	number   BIGINT PRIMARY KEY,
	time     BIGINT NOT NULL,
	actor    TEXT NOT NULL,
	action   TEXT NOT NULL,
	object   TEXT NOT NULL,
	detail   TEXT NOT NULL,
	source   TEXT NOT NULL,
	previous TEXT NOT NULL,
	hash     TEXT NOT NULL
);

-- One row, never removed: what the log's newest entry is.
CREATE TABLE audit_head (
	id        BIGINT PRIMARY KEY CHECK (id = 1),
	number    BIGINT NOT NULL,
	hash      TEXT NOT NULL,
	time      BIGINT NOT NULL,
	signature BYTEA
);
INSERT INTO audit_head (id, number, hash, time) VALUES (1, 0, '', 0);
