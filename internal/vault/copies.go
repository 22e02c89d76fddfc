package vault

import (
	"time"

	"lifeboat/internal/config"
	"lifeboat/internal/repository"
)

// Missing lists the points of from, oldest first, that to lacks and that rules
// would let stay there: what a second repository has forgotten is not brought back
// again and again. Rules without any want everything. Damaged points are not wanted.
func Missing(from, to []*Point, rules config.Retention, now time.Time) []*Point {
	there := byTree(to)
	var wanted []*Point
	for _, p := range from {
		if there[p.Tree()] == nil && p.Damage == nil {
			wanted = append(wanted, p)
		}
	}
	if rules.IsZero() || len(wanted) == 0 {
		return wanted
	}
	all := append(append([]*Point{}, to...), wanted...)
	verdicts, err := Retain(all, rules, now)
	if err != nil {
		return wanted
	}
	var missing []*Point
	for _, v := range verdicts[len(to):] {
		if v.Keep {
			missing = append(missing, v.Point)
		}
	}
	return missing
}

func byTree(points []*Point) map[repository.ID]*Point {
	m := make(map[repository.ID]*Point, len(points))
	for _, p := range points {
		if old := m[p.Tree()]; old == nil || old.Pin == nil {
			m[p.Tree()] = p
		}
	}
	return m
}
