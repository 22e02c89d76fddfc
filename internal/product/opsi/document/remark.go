package document

import (
	"fmt"
	"strings"
)

// Remark is one thing about objects of a class that a person should know: what was
// left out, cut or filled in.
type Remark struct {
	Class    string   `json:"class"`
	Text     string   `json:"text"`
	Objects  int      `json:"objects"`
	Examples []string `json:"examples,omitempty"` // the first ones, by what names them
}

func (r Remark) String() string {
	s := fmt.Sprintf("%s: %s: %d", r.Class, r.Text, r.Objects)
	if len(r.Examples) > 0 {
		s += " (" + strings.Join(r.Examples, ", ")
		if r.Objects > len(r.Examples) {
			s += " …"
		}
		s += ")"
	}
	return s
}

const (
	maxRemarks  = 500
	maxExamples = 5
)

// remarks counts equal ones together.
type remarks struct {
	list  []*Remark
	index map[[2]string]*Remark
	more  int
}

func (w *Writer) note(text, ident string) {
	r := &w.remarks
	key := [2]string{w.class, text}
	found := r.index[key]
	if found == nil {
		if len(r.list) >= maxRemarks {
			r.more++
			return
		}
		found = &Remark{Class: w.class, Text: text}
		if r.index == nil {
			r.index = map[[2]string]*Remark{}
		}
		r.index[key] = found
		r.list = append(r.list, found)
	}
	found.Objects++
	if ident != "" && len(found.Examples) < maxExamples {
		found.Examples = append(found.Examples, ident)
	}
}

// Remarks lists what was noticed so far.
func (w *Writer) Remarks() []Remark {
	var out []Remark
	for _, r := range w.remarks.list {
		out = append(out, *r)
	}
	if w.remarks.more > 0 {
		out = append(out, Remark{Class: "all", Text: "further remarks that are not listed", Objects: w.remarks.more})
	}
	return out
}
