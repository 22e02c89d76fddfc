-- From 3.08 to 3.09: a small step, for a machine whose update came in between.
CREATE INDEX client_lastcontact ON Clients (LASTCONTACT);
