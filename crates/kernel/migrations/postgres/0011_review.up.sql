-- What is published only after somebody else has looked at it: the project's mode, who had a hand in a revision, what
-- was submitted and decided, and what was said.

ALTER TABLE project ADD COLUMN review text NOT NULL DEFAULT 'none' CHECK (review IN ('none', 'required'));
-- Plans of this risk and above want a second person.
ALTER TABLE project ADD COLUMN approval_from text NOT NULL DEFAULT 'none' CHECK (approval_from IN ('none', 'low', 'medium', 'high'));

-- The people who answer for a service: who made it, and who made it a token.
CREATE TABLE service_person (
  principal_id uuid NOT NULL REFERENCES principal (id),
  name text COLLATE "C" NOT NULL,
  PRIMARY KEY (principal_id, name)
);

-- Who changed a working copy since a revision was last cut of it.
CREATE TABLE draft_author (
  resource_id uuid NOT NULL REFERENCES resource (id),
  name text COLLATE "C" NOT NULL,
  PRIMARY KEY (resource_id, name)
);

-- Who had a hand in a revision, and so cannot approve it.
CREATE TABLE revision_author (
  resource_id uuid NOT NULL REFERENCES resource (id),
  number bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  PRIMARY KEY (resource_id, number, name)
);

-- One row a time that a revision was submitted.
CREATE TABLE review (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  kind text COLLATE "C" NOT NULL,
  resource_id uuid NOT NULL REFERENCES resource (id),
  number bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'stale', 'published')),
  submitted_by text COLLATE "C" NOT NULL,
  submitted_at timestamptz NOT NULL,
  message text NOT NULL,
  decided_by text,
  decided_at timestamptz,
  -- Why it was approved, rejected or withdrawn, or what moved.
  decision text,
  -- The plan that was approved.
  plan_id uuid
);
CREATE UNIQUE INDEX review_current ON review (resource_id, number) WHERE state IN ('open', 'approved');
CREATE INDEX review_history ON review (resource_id, number, id);
CREATE INDEX review_state ON review (project_id, state, id);
CREATE INDEX review_own ON review (tenant_id, submitted_by, state, id);

CREATE TABLE review_comment (
  id uuid PRIMARY KEY,
  tenant_id uuid NOT NULL,
  project_id uuid NOT NULL,
  resource_id uuid NOT NULL REFERENCES resource (id),
  number bigint NOT NULL,
  author text NOT NULL,
  created_at timestamptz NOT NULL,
  body text NOT NULL,
  -- The place in the spec that it is about, as a JSON pointer.
  pointer text
);
CREATE INDEX review_comment_list ON review_comment (resource_id, number, id);

CREATE INDEX plan_waiting ON plan (project_id, id) WHERE state = 'open';
