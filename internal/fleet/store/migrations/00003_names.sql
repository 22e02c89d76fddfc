-- Hosts are found by their names in any case of the letters.

-- +goose Up
CREATE INDEX hosts_alike ON hosts (lower(name));
