-- How rows are found, and what keeps that true. Apart from the tables, which are filled before when a ledger is rebuilt.

CREATE INDEX task_key ON task (key);
-- Whoever adds a music task that is there already adds nothing.
CREATE TRIGGER task_once BEFORE INSERT ON task WHEN EXISTS (SELECT 1 FROM task WHERE key = NEW.key AND id = NEW.id)
BEGIN
    SELECT RAISE(IGNORE);
END;
-- Under another key it would not be found, and sent again.
CREATE TRIGGER task_id_stays BEFORE UPDATE OF id, key ON task
BEGIN
    SELECT RAISE(ABORT, 'the id of a music task stays as it is');
END;
CREATE INDEX task_sent_at ON task (sent_at);
CREATE INDEX task_in_flight ON task (seq) WHERE state = 'in_flight';
-- Looks and downloads apart: however many of one kind are due, the others are found at once.
CREATE INDEX task_due_look ON task (due_at) WHERE due_at IS NOT NULL AND image_1 IS NULL;
CREATE INDEX task_due_fetch ON task (due_at) WHERE due_at IS NOT NULL AND image_1 IS NOT NULL;
CREATE INDEX task_followed_look ON task (follow_run, due_at) WHERE follow_run IS NOT NULL AND image_1 IS NULL;
CREATE INDEX task_followed_fetch ON task (follow_run, due_at) WHERE follow_run IS NOT NULL AND image_1 IS NOT NULL;
CREATE INDEX task_generated ON task (completed_at) WHERE generated_in IS NOT NULL;

CREATE INDEX attempt_task ON attempt (task);
CREATE INDEX attempt_sent_at ON attempt (sent_at);
