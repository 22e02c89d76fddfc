package archive

import (
	"path/filepath"
	"regexp"
	"time"
)

// generated is the moment in the names that opsi-backup generates, local time of
// the machine: opsi1_4.3.0.28_2026-11-21_05-38-05.492797.tar.bz2
var generated = regexp.MustCompile(`_(\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2})(?:\.\d{6})?\.tar(?:\.(?:bz2|gz))?$`)

// dated looks for the moment of the archive. The name is only believed when no
// member is newer, but for a day of time zones.
func (a *Archive) dated() time.Time {
	var newest, dump time.Time
	for _, m := range a.Members {
		if m.Type == Regular && m.ModTime.After(newest) {
			newest = m.ModTime
		}
		if m.Part == Database && m.ModTime.After(dump) {
			dump = m.ModTime
		}
	}
	if m := generated.FindStringSubmatch(filepath.Base(a.Name)); m != nil {
		when, err := time.ParseInLocation("2006-01-02_15-04-05", m[1], time.Local)
		if err == nil && !newest.After(when.Add(24*time.Hour)) {
			return when
		}
	}
	if !dump.IsZero() {
		return dump
	}
	return newest
}
