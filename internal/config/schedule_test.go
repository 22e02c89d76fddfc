package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const scheduled = good + `    retention: {last: 3}
    schedule:
      backup: daily 02:22
      backup-large: {at: Sun 03:00, components: [package-tree], random_delay: 30m, nice: 10, ionice: idle, limit: {upload: 5M}}
      verify: {at: "0 5 * * 6", read_data: 1/7, persistent: false}
      prune: Sun 06:00
      copy: {at: "*:0/15"}
      drill: {at: "*-*-01 05:00", depth: full}
      drill-more: {at: "*-*-15 05:00", random_subset: 10%}
`

func TestSchedule(t *testing.T) {
	c, err := Parse("lifeboat.yaml", []byte(scheduled))
	if err != nil {
		t.Fatal(err)
	}
	jobs := c.ScheduleOf(c.Systems[0])
	large := jobs["backup-large"]
	if drill := jobs["drill-more"]; drill.RandomSubset != 0.1 || jobs["drill"].Depth != "full" {
		t.Errorf("%+v", jobs)
	}
	if len(jobs) != 7 || large.RandomDelay != 30*time.Minute || large.Nice != 10 || large.IONice != "idle" || large.Limit.Upload != "5M" || !large.CatchesUp() || jobs["verify"].CatchesUp() {
		t.Errorf("%+v", jobs)
	}
	for job, want := range map[string]map[string]bool{"backup": {"package-tree": false}, "backup-large": {"package-tree": true}} {
		if got := jobs.Choice(job); !maps.Equal(got, want) {
			t.Errorf("%s takes %v", job, got)
		}
	}
	text, err := Format(c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again", text)
	if err != nil || !reflect.DeepEqual(again.Systems[0].Schedule, c.Systems[0].Schedule) {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestScheduleProblems(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"job", "backup-large:", "bakup:", `there is no job "bakup"; did you mean backup?`},
		{"half a name", "backup-large:", "backup-:", `there is no job "backup-"`},
		{"path", "backup-large:", "backup-/etc:", `there is no job`},
		{"time", "daily 02:22", "soon", `at: "soon" is no time that comes again`},
		{"time in a mapping", "Sun 03:00", "Sun 33:00", `is no time that comes again`},
		{"never", "daily 02:22", "\"*-02-30 02:00\"", "never comes"},
		{"no time", "copy: {at: \"*:0/15\"}", "copy: {nice: 3}", "at is missing"},
		{"components", "prune: Sun 06:00", "prune: {at: Sun 06:00, components: [a]}", "components are of a backup"},
		{"data", "read_data: 1/7", "read_data: 8/7", `read_data: "8/7" is no part`},
		{"data of a copy", "{at: \"*:0/15\"}", "{at: \"*:0/15\", read_data: all}", "read_data is of a verify"},
		{"depth", "depth: full", "depth: fast", "depth"},
		{"depth of a backup", "at: Sun 03:00", "at: Sun 03:00, depth: full", "depth and random_subset are of a drill"},
		{"two depths", "depth: full", "depth: full, random_subset: 5%", "exclude each other"},
		{"share", "random_subset: 10%", "random_subset: 10", `"10" is no share`},
		{"nice", "nice: 10", "nice: 20", "nice: 20 is not between"},
		{"ionice", "ionice: idle", "ionice: idel", "did you mean idle?"},
		{"delay", "random_delay: 30m", "random_delay: 25h", "more than 24h"},
		{"key", "random_delay", "random-delay", "did you mean random_delay?"},
		{"limit", "upload: 5M", "upload: 5", "too slow"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(scheduled, test.old, test.new, 1)
			if text == scheduled {
				t.Fatal("the test changes nothing")
			}
			if _, err := Parse("lifeboat.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("want %q, got %v", test.want, err)
			}
		})
	}
}

func TestDefaultSchedule(t *testing.T) {
	for text, want := range map[string][]string{
		good:                                nil,
		good + "    retention: {last: 3}\n": nil,
		good + "    schedule: {}\n":         {},
	} {
		c, err := Parse("lifeboat.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		jobs := c.ScheduleOf(c.Systems[0])
		if want == nil {
			want = []string{"backup", "verify"}
			if strings.Contains(text, "retention") {
				want = []string{"backup", "prune", "verify"}
			}
		}
		if got := slices.Sorted(maps.Keys(jobs)); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		for name, job := range jobs {
			if err := job.Validate(); err != nil || JobKind(name) != name {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
