package storage

// UseNamedTemporaries makes a store behave as on a file system without O_TMPFILE.
func UseNamedTemporaries(l *Local) { l.named = true }
