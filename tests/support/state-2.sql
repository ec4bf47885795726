-- SPDX-FileCopyrightText: the iproute2-respin authors
-- SPDX-License-Identifier: GPL-2.0-or-later

-- The state of `respin nightly`. Times are seconds since 1970.
CREATE TABLE IF NOT EXISTS indexes (
    site TEXT NOT NULL,
    suite TEXT NOT NULL,
    value TEXT NOT NULL,            -- JSON: what was read of a suite, and by what to ask again
    PRIMARY KEY (site, suite)
) STRICT;

CREATE TABLE IF NOT EXISTS targets (
    name TEXT PRIMARY KEY,
    distro TEXT NOT NULL,
    codename TEXT NOT NULL,
    version TEXT,                   -- of the distro, the newest; NULL: it has none
    dsc TEXT,
    pocket TEXT,
    versions TEXT NOT NULL,         -- JSON: all that its pockets list
    since INTEGER NOT NULL,         -- when this version was first seen
    ended INTEGER,                  -- when it was no longer watched
    problem TEXT,                   -- why its archive could not be read, the last time
    problem_code INTEGER,
    problem_since INTEGER,
    asked INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    version TEXT NOT NULL,          -- the distro's
    dsc TEXT NOT NULL,
    number INTEGER NOT NULL,
    reason TEXT NOT NULL,
    inputs TEXT NOT NULL,           -- JSON: what of ours it depends on
    folder TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,                  -- NULL: going on, or killed
    outcome TEXT NOT NULL DEFAULT '',
    ours TEXT,                      -- our version, where one was built
    code INTEGER NOT NULL DEFAULT 0,
    brief TEXT NOT NULL DEFAULT '',
    details TEXT NOT NULL DEFAULT '',
    report TEXT NOT NULL DEFAULT '', -- SHA-256 of report.json
    retry_at INTEGER,
    published INTEGER,
    withdrawn INTEGER,
    why TEXT NOT NULL DEFAULT ''    -- why it was withdrawn, or is not tried again
) STRICT;
CREATE INDEX IF NOT EXISTS runs_of ON runs (target, version);

-- The highest number that a version of ours ever had: none is used twice, whatever is forgotten.
CREATE TABLE IF NOT EXISTS numbers (
    target TEXT NOT NULL,
    version TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (target, version)
) STRICT;

-- What was published. Here and not in the served directory: what is there is held against it.
CREATE TABLE IF NOT EXISTS generations (
    target TEXT NOT NULL,
    generation TEXT NOT NULL,
    serial INTEGER NOT NULL,        -- no other of the target has it
    date INTEGER NOT NULL,          -- of its index: none after it is older
    placed INTEGER NOT NULL,        -- 1: clients have seen it
    keys TEXT NOT NULL,             -- JSON: fingerprints of those that signed
    keyring TEXT NOT NULL,          -- version of the package with the public keys
    offered TEXT NOT NULL,          -- JSON: our versions in it
    files TEXT NOT NULL,            -- JSON: path -> SHA-256 and size
    own TEXT NOT NULL,              -- JSON: paths that its index promises
    kept TEXT NOT NULL,             -- JSON: paths that the index before promised
    PRIMARY KEY (target, generation)
) STRICT;

CREATE TABLE IF NOT EXISTS told (
    target TEXT PRIMARY KEY,
    value TEXT NOT NULL             -- what was last said of it, to say only what changes
) STRICT;

CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,             -- JSON
    webhook INTEGER,                -- when it was sent there; NULL: not yet
    command INTEGER
) STRICT;
