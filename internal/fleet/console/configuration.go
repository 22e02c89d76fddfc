package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/pmezard/go-difflib/difflib"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/rescue/configuration"
)

const (
	maxShown = 4 << 20 // bytes of a configuration that a page shows
	maxLines = 6000    // of one, for a comparison
)

// configurationView is one version, alone or beside another.
type configurationView struct {
	Host    record.Host
	Version record.Version
	Newest  int64
	Against int64 // 0 is none
	Lines   []diffLine
	Same    bool
	Refused string // why it is not shown
}

// diffLine is a line of a version. Mark is "+", "-", " " or "@" for what is left out.
type diffLine struct{ Mark, Text string }

func (c *Console) configuration(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := record.HostID(r.PathValue("host"))
	number, err := strconv.ParseInt(r.PathValue("version"), 10, 64)
	if err != nil || number < 1 {
		return notFound("version")
	}
	var view configurationView
	view.Against, _ = strconv.ParseInt(r.URL.Query().Get("against"), 10, 64)
	var other record.Version
	err = c.Store.Read(r.Context(), func(rd record.Reader) error {
		if view.Host, err = rd.Host(id); err != nil {
			return found(err, "host")
		}
		newest, err := rd.Version(id, 0)
		if err != nil {
			return found(err, "version")
		}
		view.Newest = newest.Number
		if view.Version, err = rd.Version(id, number); err != nil {
			return found(err, "version")
		}
		if view.Against > 0 {
			other, err = rd.Version(id, view.Against)
		}
		return found(err, "version")
	})
	if err != nil {
		return err
	}
	now, err := readable(view.Version.Open)
	if err != nil {
		view.Refused = err.Error()
	} else if view.Against == 0 {
		for _, line := range now {
			view.Lines = append(view.Lines, diffLine{" ", line})
		}
	} else if before, err := readable(other.Open); err != nil {
		view.Refused = err.Error()
	} else {
		view.Lines, view.Refused = compare(before, now)
		view.Same = len(view.Lines) == 0 && view.Refused == ""
	}
	return v.show(w, r, http.StatusOK, configurationPage(v, view))
}

// readable lays a configuration's JSON out in lines, without the files that one of
// before they were sealed has.
func readable(open []byte) ([]string, error) {
	if len(open) > maxShown {
		return nil, fmt.Errorf("it has %s, which is too much for a page; lifeboat config show prints it", size(int64(len(open))))
	}
	open, err := configuration.Public(open)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(open))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return nil, fmt.Errorf("it is no JSON: %w", err)
	}
	pretty, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("it cannot be laid out: %w", err)
	}
	return strings.Split(string(pretty), "\n"), nil
}

// around is how many lines that are the same stand about those that are not.
const around = 3

func compare(before, now []string) (lines []diffLine, refused string) {
	if len(before) > maxLines || len(now) > maxLines {
		return nil, fmt.Sprintf("they have %d and %d lines, which is too much for a page; lifeboat config diff compares them", len(before), len(now))
	}
	for i, group := range difflib.NewMatcher(before, now).GetGroupedOpCodes(around) {
		if i > 0 {
			lines = append(lines, diffLine{"@", ""})
		}
		for _, op := range group {
			if op.Tag == 'e' {
				for _, line := range before[op.I1:op.I2] {
					lines = append(lines, diffLine{" ", line})
				}
				continue
			}
			for _, line := range before[op.I1:op.I2] {
				lines = append(lines, diffLine{"-", line})
			}
			for _, line := range now[op.J1:op.J2] {
				lines = append(lines, diffLine{"+", line})
			}
		}
	}
	return lines, ""
}
