-- What is older than is kept is found without reading everything.

-- +goose Up

CREATE INDEX reports_ended ON reports (ended);
CREATE INDEX versions_created ON versions (created);

-- +goose Down

DROP INDEX versions_created;
DROP INDEX reports_ended;
