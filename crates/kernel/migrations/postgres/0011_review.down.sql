-- What waits for review becomes a draft again: what came before knew no review.
UPDATE revision SET state = 'draft' WHERE state IN ('in_review', 'approved');
DROP INDEX plan_waiting;
DROP TABLE review_comment;
DROP TABLE review;
DROP TABLE revision_author;
DROP TABLE draft_author;
DROP TABLE service_person;
ALTER TABLE project DROP COLUMN approval_from;
ALTER TABLE project DROP COLUMN review;
