package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"lifeboat/internal/component"
	"lifeboat/internal/repository"
	"lifeboat/internal/vault/head"
)

// VerifyOptions says what Verify looks at.
type VerifyOptions struct {
	Filter Filter
	Point  string // only this point is judged; "" judges all of the filter
	Check  repository.CheckOptions
}

// Verification is the result of Verify.
type Verification struct {
	Type      string         `json:"type"`
	Points    []PointVerdict `json:"points"`
	Problems  []string       `json:"problems,omitempty"` // of the repository, beyond single points
	Remarks   []string       `json:"remarks,omitempty"`  // what is odd and no damage
	Warnings  []string       `json:"warnings,omitempty"` // what is damaged and needed by nothing
	Bytes     int64          `json:"bytes"`              // of all packs
	BytesRead int64          `json:"bytes_read"`
	Unlisted  int64          `json:"bytes_unlisted,omitempty"` // of packs that belong to no index
	// Unlisting says that the index lost something which those packs hold, as far
	// as can be told before the index was repaired.
	Unlisting bool      `json:"repair_index_first,omitempty"`
	Findings  []Finding `json:"findings,omitempty"` // of files of the repository
	// Leftovers are of interrupted uploads.
	Leftovers repository.Leftovers `json:"leftovers,omitzero"`
	// Head is what changed since this machine last looked; nil where no record is
	// kept. HeadError says why it could not be compared.
	Head      *head.Findings `json:"head,omitempty"`
	HeadError string         `json:"head_error,omitempty"`
}

// Finding is one file of the repository that is not right.
type Finding struct {
	Kind repository.FindingKind `json:"kind"`
	File string                 `json:"file,omitempty"`
}

// Found tells whether something of this kind is wrong.
func (v *Verification) Found(kinds ...repository.FindingKind) bool {
	return slices.ContainsFunc(v.Findings, func(f Finding) bool { return slices.Contains(kinds, f.Kind) })
}

// PointVerdict is what Verify says of one point.
type PointVerdict struct {
	ID       string    `json:"id"`
	Short    string    `json:"-"`
	System   string    `json:"system"`
	Time     time.Time `json:"time"`
	Problems []string  `json:"problems,omitempty"`
	// Tree is the same for copies of the point in other repositories; zero when the
	// point cannot be read.
	Tree repository.ID `json:"-"`
	// Components are those that the problems affect, and Whole the others; both
	// are empty when that cannot be told, or when nothing is wrong.
	Components []ComponentDamage `json:"components,omitempty"`
	Whole      []string          `json:"whole,omitempty"`
}

// Untouched tells whether nothing was changed behind this machine's back, as far
// as it can tell.
func (v *Verification) Untouched() bool {
	return v.Head == nil || v.Head.Accepted || len(v.Head.Problems) == 0
}

// Missed tells whether something is gone or altered behind this machine's back: more
// than a pin, or the record of it.
func (v *Verification) Missed() bool {
	return !v.Untouched() && slices.ContainsFunc(v.Head.Problems, func(p head.Problem) bool { return !p.Kind.Warning() })
}

// OK tells whether nothing is damaged.
func (v *Verification) OK() bool {
	return len(v.Problems) == 0 && !slices.ContainsFunc(v.Points, func(p PointVerdict) bool { return len(p.Problems) > 0 })
}

// Verify checks the repository and that every point holds what its manifest
// promises. Damage is in the result; the error is for what prevented the look.
func (v *Vault) Verify(ctx context.Context, opts VerifyOptions) (*Verification, error) {
	result := &Verification{Type: "verification"}
	report, err := v.repo.Check(ctx, opts.Check)
	if err != nil {
		return nil, fmt.Errorf("check repository: %w", err)
	}
	result.Bytes, result.BytesRead, result.Unlisted, result.Leftovers = report.Bytes, report.BytesRead, report.Unlisted, report.Leftovers
	result.Unlisting = report.Unlisting()
	survey := v.Survey(ctx, opts.Filter)
	if result.Head = survey.Head; survey.HeadError != nil {
		result.HeadError = survey.HeadError.Error()
	}
	byPoint, findings := map[string][]string{}, map[string][]*repository.Finding{}
	for _, f := range report.Findings {
		if f.Kind != repository.OrphanPack {
			result.Findings = append(result.Findings, Finding{Kind: f.Kind, File: f.File})
		}
		if f.Kind == repository.DamagedOrphan {
			result.Warnings = append(result.Warnings, describe(f))
			continue
		}
		if f.Harmless() {
			result.Remarks = append(result.Remarks, describe(f))
			continue
		}
		if len(f.Snapshots) == 0 {
			result.Problems = append(result.Problems, describe(f))
		}
		for _, id := range f.Snapshots {
			byPoint[id.String()] = append(byPoint[id.String()], describe(f))
			findings[id.String()] = append(findings[id.String()], f)
		}
	}
	points, err := survey.Points, survey.Unread
	if len(points) == 0 && err != nil && len(result.Problems)+len(byPoint) == 0 {
		return nil, err
	}
	if opts.Point != "" {
		p, err := v.Find(ctx, opts.Point, opts.Filter)
		if err != nil {
			return nil, err
		}
		points = []*Point{p}
	}
	if len(points) == 0 && opts.Filter.System != "" && result.OK() && len(byPoint) == 0 && result.Untouched() {
		return nil, fmt.Errorf("%w of %s in this repository: nothing was verified", ErrNoPoint, opts.Filter.System)
	}
	for _, p := range points {
		verdict := PointVerdict{ID: p.ID(), Short: p.Short(), System: p.System(), Time: p.Time(), Tree: p.Tree(), Problems: byPoint[p.ID()]}
		if p.Damage != nil {
			verdict.Problems = append(verdict.Problems, p.Damage.Error())
		} else {
			verdict.Problems = append(verdict.Problems, p.promises(ctx)...)
			if len(findings[p.ID()]) > 0 {
				verdict.Components, verdict.Whole = p.damaged(ctx, findings[p.ID()])
			}
		}
		result.Points = append(result.Points, verdict)
		delete(byPoint, p.ID())
		// A pin shares its point's data, and its damage.
		if p.Pin != nil {
			delete(byPoint, p.Pin.ID.String())
		}
	}
	// What is left concerns snapshots that cannot be read or were not asked for.
	for _, id := range slices.Sorted(maps.Keys(byPoint)) {
		for _, problem := range byPoint[id] {
			if !slices.Contains(result.Problems, problem) {
				result.Problems = append(result.Problems, problem)
			}
		}
	}
	return result, ctx.Err()
}

// promises lists what the manifest promises and the point does not hold.
func (p *Point) promises(ctx context.Context) []string {
	var problems []string
	for _, r := range p.Manifest.Components {
		if r.Status != component.StatusCaptured {
			continue
		}
		for _, at := range r.Paths {
			if _, err := p.Find(ctx, at); err != nil {
				problems = append(problems, fmt.Sprintf("component %s: %s: %v", r.Name, at, err))
			}
		}
		for _, s := range r.Streams {
			if _, err := p.Find(ctx, Dir+"/"+s); err != nil {
				problems = append(problems, fmt.Sprintf("component %s: stream %s: %v", r.Name, s, err))
			}
		}
	}
	for _, own := range []string{RunbookPath, ProfilePath} {
		if _, err := p.Find(ctx, own); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", own, err))
		}
	}
	return problems
}

// describe tells a finding of the repository in one line.
func describe(f *repository.Finding) string {
	text := f.String()
	if len(f.Paths) > 0 {
		text += ", needed by " + strings.Join(f.Paths[:min(3, len(f.Paths))], ", ")
		if more := len(f.Paths) - 3 + f.More; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
	}
	return text
}
