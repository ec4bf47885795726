-- SPDX-FileCopyrightText: the iproute2-respin authors
-- SPDX-License-Identifier: GPL-2.0-or-later

-- From schema 2, in which every run was for the machine's own architecture (:native), to 3.
ALTER TABLE targets ADD COLUMN architectures TEXT NOT NULL DEFAULT '[]';
UPDATE targets SET architectures = json_array(:native);
ALTER TABLE targets RENAME COLUMN asked TO asked_2;
ALTER TABLE targets ADD COLUMN asked TEXT NOT NULL DEFAULT '[]';
UPDATE targets SET asked = json_array(:native) WHERE asked_2 != 0;
ALTER TABLE targets DROP COLUMN asked_2;

ALTER TABLE runs ADD COLUMN architecture TEXT NOT NULL DEFAULT '';
UPDATE runs SET architecture = :native;

CREATE TABLE numbers_3 (
    target TEXT NOT NULL,
    version TEXT NOT NULL,
    architecture TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (target, version, architecture)
) STRICT;
INSERT INTO numbers_3 SELECT target, version, :native, number FROM numbers;
DROP TABLE numbers;
ALTER TABLE numbers_3 RENAME TO numbers;
