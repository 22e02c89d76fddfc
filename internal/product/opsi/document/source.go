package document

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/tinylib/msgp/msgp"

	"lifeboat/internal/excerpt"
)

// source walks through one of the two encodings. What is next is either taken
// whole by value, passed over by skip, or gone into by fields and elements.
type source interface {
	// fields calls f for each key of the map that is next; f takes the value.
	fields(f func(key string) error) error
	// elements calls f for each element of the list that is next; f takes it.
	elements(f func() error) error
	value() (any, error)
	skip() error
	// end fails when anything follows.
	end() error
}

// packed reads msgpack.
type packed struct {
	r     *msgp.Reader
	depth int
}

func newPacked(r io.Reader) *packed {
	p := &packed{r: msgp.NewReaderSize(r, look)}
	p.r.SetMaxRecursionDepth(maxSkip)
	p.r.SetMaxStringLength(maxString)
	p.r.SetMaxElements(1 << 30)
	return p
}

func (p *packed) fields(f func(key string) error) error {
	n, err := p.r.ReadMapHeader()
	if err != nil {
		return err
	}
	for range n {
		key, err := p.r.ReadString()
		if err != nil {
			return err
		}
		if err := f(key); err != nil {
			return err
		}
	}
	return nil
}

func (p *packed) elements(f func() error) error {
	n, err := p.r.ReadArrayHeader()
	if err != nil {
		return err
	}
	for range n {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (p *packed) value() (any, error) {
	kind, err := p.r.NextType()
	if err != nil {
		return nil, err
	}
	switch kind {
	case msgp.NilType:
		return nil, p.r.ReadNil()
	case msgp.BoolType:
		return p.r.ReadBool()
	case msgp.IntType:
		return p.r.ReadInt64()
	case msgp.UintType:
		return p.r.ReadUint64()
	case msgp.Float64Type, msgp.Float32Type:
		return p.r.ReadFloat64()
	case msgp.StrType:
		return p.r.ReadString()
	case msgp.BinType:
		return p.r.ReadBytesLimit(nil, maxString)
	case msgp.ArrayType, msgp.MapType:
		if p.depth++; p.depth > maxDepth {
			return nil, tooDeep()
		}
		defer func() { p.depth-- }()
		return compound(p, kind == msgp.MapType)
	}
	return nil, fmt.Errorf("a value of msgpack type %v, which no document has", kind)
}

func (p *packed) skip() error { return p.r.Skip() }

func (p *packed) end() error {
	if _, err := p.r.NextType(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more follows after its end: %w", errors.Join(ErrDamaged, err))
	}
	return nil
}

// compound reads a list or a map.
func compound(s source, isMap bool) (any, error) {
	if !isMap {
		list := []any{}
		err := s.elements(func() error {
			if len(list) >= maxList {
				return fmt.Errorf("a list of more than %d elements: %w", maxList, ErrTooLarge)
			}
			v, err := s.value()
			list = append(list, v)
			return err
		})
		return list, err
	}
	m := map[string]any{}
	err := s.fields(func(key string) error {
		if len(m) >= maxFields {
			return fmt.Errorf("more than %d attributes: %w", maxFields, ErrTooLarge)
		}
		if _, twice := m[key]; twice {
			return fmt.Errorf("%q stands twice in one map: %w", excerpt.Line(key, 80), ErrDamaged)
		}
		v, err := s.value()
		m[key] = v
		return err
	})
	return m, err
}

func tooDeep() error { return fmt.Errorf("nested deeper than %d: %w", maxDepth, ErrTooLarge) }

// text reads JSON.
type text struct {
	d     *json.Decoder
	depth int
	given int64
	r     io.Reader
}

func newText(r *bufio.Reader) *text {
	t := &text{r: r}
	t.d = json.NewDecoder(t)
	t.d.UseNumber()
	return t
}

// Read gives the decoder bytes, but not without end for one token: it would
// collect them.
func (t *text) Read(p []byte) (int, error) {
	if t.d != nil && t.given-t.d.InputOffset() > maxString {
		return 0, fmt.Errorf("a text of more than %d bytes: %w", maxString, ErrTooLarge)
	}
	n, err := t.r.Read(p)
	t.given += int64(n)
	return n, err
}

// token never returns an end of file: a document that is whole asks for no more.
func (t *text) token() (json.Token, error) {
	tok, err := t.d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return tok, err
}

func (t *text) open(want json.Delim) error {
	tok, err := t.token()
	if err == nil && tok != want {
		err = fmt.Errorf("%v stands where %v is wanted", excerpt.Line(fmt.Sprint(tok), 80), want)
	}
	return err
}

func (t *text) fields(f func(key string) error) error {
	if err := t.open('{'); err != nil {
		return err
	}
	return t.pairs(f)
}

func (t *text) pairs(f func(key string) error) error {
	for t.d.More() {
		tok, err := t.token()
		if err != nil {
			return err
		}
		if err := f(tok.(string)); err != nil { // the decoder takes nothing else as a key
			return err
		}
	}
	_, err := t.token()
	return err
}

func (t *text) elements(f func() error) error {
	if err := t.open('['); err != nil {
		return err
	}
	return t.items(f)
}

func (t *text) items(f func() error) error {
	for t.d.More() {
		if err := f(); err != nil {
			return err
		}
	}
	_, err := t.token()
	return err
}

// opened is a source whose opening bracket was read.
type opened struct{ *text }

func (o opened) fields(f func(key string) error) error { return o.pairs(f) }
func (o opened) elements(f func() error) error         { return o.items(f) }

func (t *text) value() (any, error) {
	tok, err := t.token()
	if err != nil {
		return nil, err
	}
	switch v := tok.(type) {
	case json.Number:
		return number(v)
	case json.Delim:
		if t.depth++; t.depth > maxDepth {
			return nil, tooDeep()
		}
		defer func() { t.depth-- }()
		return compound(opened{t}, v == '{')
	}
	return tok, nil
}

func number(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(n.String(), 10, 64); err == nil {
		return u, nil
	}
	return n.Float64()
}

func (t *text) skip() error {
	for depth := 0; ; {
		tok, err := t.token()
		if err != nil {
			return err
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxSkip {
				return tooDeep()
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (t *text) end() error {
	tok, err := t.d.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("%v follows after its end: %w", excerpt.Line(fmt.Sprint(tok), 80), errors.Join(ErrDamaged, err))
}
