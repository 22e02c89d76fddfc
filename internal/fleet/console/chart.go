package console

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"lifeboat/internal/fleet/record"
	"lifeboat/internal/fleet/standing"
	"lifeboat/internal/runbook"
)

// The chart's measures, in units of its own; the page scales it.
const (
	chartWidth  = 520
	chartHeight = 180
	chartLeft   = 64
	chartRight  = 24
	chartBottom = 150
	chartTop    = 14
	chartDrills = 24 // the newest that are drawn
)

// drillChart is one system's drills: how long a recovery took, and how much would have
// been lost.
type drillChart struct {
	System string
	Drills []drill // the oldest first
	Plots  []plot
}

type drill struct {
	Run    string
	State  string
	At     time.Time
	RTO    time.Duration
	RPO    time.Duration
	Passed bool
}

// plot is one measure of all drills over time.
type plot struct {
	Name, Title string
	Bars        []bar
	Ticks       []tick
	Goal        float64 // where the objective lies; 0 is none
	GoalText    string
	Summary     string // what it shows, in words
}

type bar struct {
	X, Y, Width, Height float64
	Passed              bool
	Label               string
	Date                string // below, where there is room
}

type tick struct {
	Y    float64
	Text string
}

func drillCharts(reports []record.Report, systems []record.Protection) []drillChart {
	by := map[string]*drillChart{}
	for _, r := range reports {
		if r.Kind != "drill" {
			continue
		}
		c := by[r.System]
		if c == nil {
			c = &drillChart{System: r.System}
			by[r.System] = c
		}
		if len(c.Drills) == chartDrills {
			continue
		}
		passed := runbook.State(r.State) == runbook.StateDone || runbook.State(r.State) == runbook.StateWarnings
		c.Drills = append(c.Drills, drill{r.ID, r.State, r.Started, seconds(r.RTO), seconds(r.RPO), passed})
	}
	objectives := map[string]record.Objectives{}
	for _, p := range systems {
		objectives[p.System] = p.Objectives
	}
	var list []drillChart
	for system, c := range by {
		slices.Reverse(c.Drills)
		o := objectives[system]
		c.Plots = []plot{
			draw("RTO", "How long the recovery took", c.Drills, o.RTO, func(d drill) time.Duration { return d.RTO }),
			draw("RPO", "How much work would have been lost", c.Drills, o.RPO, func(d drill) time.Duration { return d.RPO }),
		}
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b drillChart) int { return cmp.Compare(a.System, b.System) })
	return list
}

// draw lays bars out below a scale whose lines are at round times.
func draw(name, title string, drills []drill, goal time.Duration, value func(drill) time.Duration) plot {
	p := plot{Name: name, Title: title}
	highest := goal
	for _, d := range drills {
		highest = max(highest, value(d))
	}
	step := roundStep(highest)
	lines := max(1, int(math.Ceil(float64(highest)/float64(step))))
	y := func(d time.Duration) float64 {
		return tenth(chartBottom - float64(d)/float64(time.Duration(lines)*step)*(chartBottom-chartTop))
	}
	for i := 0; i <= lines; i++ {
		p.Ticks = append(p.Ticks, tick{y(time.Duration(i) * step), brief(time.Duration(i)*step, step)})
	}
	slot := float64(chartWidth-chartLeft-chartRight) / float64(max(len(drills), 8))
	every := max(1, int(math.Ceil(70/slot))) // a date needs so much room
	within := 0
	for i, d := range drills {
		top := y(value(d))
		b := bar{X: tenth(chartLeft + float64(i)*slot + slot*0.2), Y: top, Width: tenth(slot * 0.6), Height: max(1, tenth(chartBottom-top)), Passed: d.Passed}
		b.Y = min(b.Y, chartBottom-1)
		b.Label = d.At.UTC().Format("2006-01-02") + ": " + took(value(d))
		if !d.Passed {
			b.Label += ", failed"
		}
		if i%every == 0 {
			b.Date = d.At.UTC().Format("2 Jan 06")
		}
		if goal > 0 && d.Passed && value(d) <= goal {
			within++
		}
		p.Bars = append(p.Bars, b)
	}
	p.Summary = count(len(drills), "drill")
	if len(drills) > 0 {
		p.Summary += ", the last " + took(value(drills[len(drills)-1]))
	}
	if goal > 0 {
		p.Goal, p.GoalText = y(goal), "objective "+standing.Age(goal)
		p.Summary += ", " + strconv.Itoa(within) + " passed within the objective of " + standing.Age(goal)
	}
	return p
}

// roundStep is a distance of lines that people count in, so that there are three to six.
func roundStep(highest time.Duration) time.Duration {
	for _, step := range []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 12 * time.Hour,
		24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 30 * 24 * time.Hour,
	} {
		if highest <= 5*step {
			return step
		}
	}
	return (highest/5 + 1).Round(24 * time.Hour)
}

// brief is a round time for a scale of such steps, which has one unit.
func brief(d, step time.Duration) string {
	n := func(unit time.Duration, word string) string { return strconv.Itoa(int(d/unit)) + " " + word }
	switch {
	case d == 0:
		return "0"
	case step%(24*time.Hour) == 0:
		return n(24*time.Hour, "d")
	case step%time.Hour == 0:
		return n(time.Hour, "h")
	case step%time.Minute == 0:
		return n(time.Minute, "min")
	}
	return n(time.Second, "s")
}

func tenth(f float64) float64 { return math.Round(f*10) / 10 }

func num(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
