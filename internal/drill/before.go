package drill

import (
	"encoding/json"
	"fmt"
	"slices"

	"lifeboat/internal/component"
	"lifeboat/internal/component/mysql"
	"lifeboat/internal/vault"
)

// A point that was made of a damaged system is restored without a fault. What the point
// before it had and it has not is therefore told.

// enoughRows is from how many rows on an empty table is remarkable: small ones, queues
// say, are empty now and then.
const enoughRows = 10

// shrunk is the part of a component's files that must be left not to be remarkable.
const shrunk = 2

// since names the point before.
func since(before *vault.Point) string {
	return fmt.Sprintf("in the recovery point before, %s of %s", before.Short(), before.Time().UTC().Format("2006-01-02 15:04 UTC"))
}

// lessThan lists what a point has lost since the one before it.
func lessThan(before, now *vault.Point) []string {
	if before == nil || before.Manifest == nil {
		return nil
	}
	since := since(before)
	var lost []string
	for _, then := range before.Manifest.Components {
		if then.Status != component.StatusCaptured {
			continue
		}
		i := slices.IndexFunc(now.Manifest.Components, func(c component.Record) bool { return c.Name == then.Name })
		if i < 0 {
			lost = append(lost, fmt.Sprintf("component %s is missing, which was there %s", then.Name, since))
			continue
		}
		record := now.Manifest.Components[i]
		switch {
		case record.Status != component.StatusCaptured && record.Status != component.StatusSkipped:
			lost = append(lost, fmt.Sprintf("component %s is missing, which was there %s", then.Name, since))
		case record.Status != component.StatusCaptured:
		case record.Kind == "mysql" && then.Kind == "mysql":
			lost = append(lost, lessRows(then, record, since)...)
		case then.Items >= enoughRows && record.Items*shrunk < then.Items:
			lost = append(lost, fmt.Sprintf("component %s has %d entries and had %d %s", record.Name, record.Items, then.Items, since))
		}
	}
	return lost
}

func lessRows(then, now component.Record, since string) []string {
	var was, is mysql.Detail
	if json.Unmarshal(then.Detail, &was) != nil || json.Unmarshal(now.Detail, &is) != nil {
		return nil
	}
	rows := map[string]int64{}
	for _, t := range is.Tables {
		rows[t.Name] = t.Rows
	}
	var lost []string
	for _, t := range was.Tables {
		n, there := rows[t.Name]
		switch {
		case !there:
			lost = append(lost, fmt.Sprintf("table %s of component %s is missing, which was there %s", t.Name, now.Name, since))
		case n == 0 && t.Rows >= enoughRows:
			lost = append(lost, fmt.Sprintf("table %s of component %s is empty and had %d rows %s", t.Name, now.Name, t.Rows, since))
		}
	}
	return lost
}
